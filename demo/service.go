package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	command      = "keda-otel-scaler"
	source       = "cmd/" + command
	startTimeout = 15 * time.Second
	stopTimeout  = 5 * time.Second
)

// buildService compiles the command of the clone at root into dir.
func buildService(ctx context.Context, root, dir string) (binary string, err error) {
	for _, needed := range []string{"go.mod", source} {
		if _, err := os.Stat(filepath.Join(root, needed)); err != nil {
			return "", fmt.Errorf(`%s is missing: the demo builds the service from the clone around it; run "make demo" at the top of a clone, or "go run ." in its demo folder`,
				filepath.Join(root, needed))
		}
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", dir, "./"+source)
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build ./%s: %w\n%s", source, err, output)
	}
	return filepath.Join(dir, command), nil
}

// service is the running keda-otel-scaler.
type service struct {
	pid       int
	addresses map[string]string // by server, as its log names them; complete once started
	started   chan struct{}     // closed when every server listens
	ended     chan struct{}     // closed when the process is gone
	exitCode  int               // valid once ended is closed; -1 if a signal ended it
	cancel    context.CancelFunc
}

// startService runs the binary on free ports, with a retention, and waits until it
// listens. Log lines that are more than information go to forward.
func startService(ctx context.Context, binary string, retention time.Duration, forward func(string)) (*service, error) {
	// The service outlives ctx: it must still be there for the pods' last push.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(own, binary, "serve",
		"--otlp-grpc-address=127.0.0.1:0",
		"--otlp-http-address=127.0.0.1:0",
		"--keda-address=127.0.0.1:0",
		"--http-address=127.0.0.1:0",
		"--telemetry-address=127.0.0.1:0",
		"--warm-up=2s", // a pod here pushes within one
		"--retention="+retention.String(),
		"--log-level=info",
	)
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err == nil || errors.Is(err, os.ErrProcessDone) {
			return err
		}
		return cmd.Process.Kill() // where there are no signals
	}
	cmd.WaitDelay = stopTimeout
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s := &service{
		pid:       cmd.Process.Pid,
		addresses: map[string]string{"otlp-grpc": "", "keda-grpc": "", "http": "", "telemetry": ""},
		started:   make(chan struct{}),
		ended:     make(chan struct{}),
		cancel:    cancel,
	}
	go func() {
		defer close(s.ended)
		s.readLog(stderr, forward)
		_ = cmd.Wait() // says how it was stopped, which we know
		s.exitCode = cmd.ProcessState.ExitCode()
	}()

	select {
	case <-s.started:
		return s, nil
	case <-s.ended:
		err = fmt.Errorf("%s ended with exit code %d before it listened", command, s.exitCode)
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(startTimeout):
		err = fmt.Errorf("%s does not listen after %v", command, startTimeout)
	}
	s.stop()
	return nil, err
}

func (s *service) readLog(stderr io.Reader, forward func(string)) {
	missing := len(s.addresses)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		fields := parseLogLine(lines.Text())
		address, known := s.addresses[fields["server"]]
		switch {
		case fields["msg"] == "listening" && known && address == "":
			s.addresses[fields["server"]] = fields["address"]
			if missing--; missing == 0 {
				close(s.started)
			}
		case fields["level"] != "INFO" && fields["level"] != "DEBUG":
			_, text, ok := strings.Cut(lines.Text(), "level=")
			if !ok {
				text = lines.Text() // not a log line: a panic, or a complaint about flags
			}
			forward(text)
		}
	}
	// A line too long for the scanner ends it; the child must not block on a full pipe.
	_, _ = io.Copy(io.Discard, stderr)
}

// stop ends the process with SIGTERM, or by force after stopTimeout, and
// returns when it is gone.
func (s *service) stop() {
	s.cancel()
	<-s.ended
}
