package main

import (
	"flag"
	"fmt"
	"io"
	"math"
	"time"
)

type options struct {
	duration time.Duration // 0: until interrupted
	wave     time.Duration
	max      int
	target   float64
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.DurationVar(&o.duration, "duration", 0, "end by itself after this long; 0 runs until Ctrl-C")
	flags.DurationVar(&o.wave, "wave", 75*time.Second, "how long one wave of load takes, from idle to busy and back")
	flags.IntVar(&o.max, "max", 5, "maxReplicas: the most pods")
	flags.Float64Var(&o.target, "target", 4, "target value: running requests a pod")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q: the demo takes flags only, see --help", flags.Arg(0))
	case o.duration < 0:
		return o, fmt.Errorf("--duration=%v: want 0 (until Ctrl-C) or more, e.g. --duration=2m", o.duration)
	case o.wave < 4*time.Second:
		return o, fmt.Errorf("--wave=%v: want at least 4s, because pods push and the client polls once a second", o.wave)
	case o.max < 1 || o.max > 20:
		return o, fmt.Errorf("--max=%d: want 1 to 20; every pod is an OpenTelemetry SDK inside this process", o.max)
	// Written so that NaN is refused too. KEDA counts in thousandths.
	case !(o.target >= 0.001) || math.IsInf(o.target, 0):
		return o, fmt.Errorf("--target=%v: want a number of at least 0.001, e.g. --target=4", o.target)
	}
	return o, nil
}
