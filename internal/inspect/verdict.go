package inspect

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// verdicts say what a cause means where the scaler answers KEDA a value.
var verdicts = map[string]string{
	"filtered":         "a comparison in the query removes the value, which counts as 0",
	"never_seen":       "no series has ever matched",
	"ended":            "the senders ended all series",
	"silent_inactive":  "all series are silent, and there was no load",
	"partial_loss":     "the value includes series that are lost, as far as their load has not moved",
	"partial_window":   "the last complete value, until data covers the window",
	"partial_rejected": "the last complete value, while samples are rejected",
	"on_missing":       "there is no data, and onMissing says what that means",
}

// verdict is what happens, and why, in a line.
func verdict(e *scaler.Trigger) string {
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
	if a.Warning != "" {
		text += "; " + a.Warning
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
