package inspect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// verdicts say what a cause means where KEDA is told a value.
var verdicts = map[string]string{
	"filtered":   "a comparison in the query lets no series through",
	"never_seen": "nothing has ever matched",
	"ended":      "the senders said that all series ended",
	"part_gone":  "the value from before some series fell silent under load, for as long as they are remembered",
	"restored":   "the value from before the restart, for as long as the pods have to come back",
	"gone_idle":  "the value from just before the series fell silent, which was not active",
	"on_missing": "there is no data, and onMissing says what that means",
}

// verdict is what happens, and why, in a line.
func verdict(e *scaler.Explained) string {
	a, m := &e.Now, &e.Metadata
	if a.Error != "" {
		return "holding: " + strings.TrimPrefix(a.Error, scaler.ErrHeld.Error()+": ")
	}
	word := "inactive"
	if a.Active {
		word = "active"
	}
	text := fmt.Sprintf("%s: %s of target %s a replica -> %s", word, number(a.Value), number(m.Target), replicas(a.Desired))
	if a.Reported != a.Value {
		text = fmt.Sprintf("%s: %s, clamped to %s, of target %s a replica -> %s",
			word, number(a.Value), number(a.Reported), number(m.Target), replicas(a.Desired))
	}
	if !a.Active {
		text = fmt.Sprintf("%s: %s is not above the activation target %s", word, number(a.Value), number(m.Activation))
	}
	if why := verdicts[a.Cause]; why != "" {
		text += "; " + why
	}
	return text
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func replicas(n int64) string {
	if n == 1 {
		return "1 replica"
	}
	return fmt.Sprintf("%d replicas", n)
}
