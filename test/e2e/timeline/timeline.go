// Package timeline keeps what a play saw of one workload, second by second, and
// shows it as text and as a picture.
package timeline

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Sample is one look at a workload.
type Sample struct {
	At       time.Duration // since the beginning of the play
	Load     float64       // what the pods are busy with, as the play set it
	Value    float64       // what the scaler answers; NaN is no answer
	Desired  int           // the HPA's status.desiredReplicas
	Replicas int           // the Deployment's spec.replicas
	Ready    int           // its status.readyReplicas
}

// Mark is something that the play did, or that happened.
type Mark struct {
	At   time.Duration
	Text string
}

// Line is a play's.
type Line struct {
	Title   string
	Unit    string // of load and value
	Samples []Sample
	Marks   []Mark
}

// String is a table with a row for every change, and for every mark.
func (l Line) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%8s %8s %8s %8s %9s %6s\n", l.Title, "seconds", "load", "value", "desired", "replicas", "ready")
	marks := l.Marks
	var last Sample
	for i, s := range l.Samples {
		for len(marks) > 0 && marks[0].At <= s.At {
			fmt.Fprintf(&b, "%8.1f -- %s\n", marks[0].At.Seconds(), marks[0].Text)
			marks = marks[1:]
		}
		if i == 0 || !same(s, last) {
			fmt.Fprintf(&b, "%8.1f %8.4g %8s %8d %9d %6d\n", s.At.Seconds(), s.Load, number(s.Value), s.Desired, s.Replicas, s.Ready)
		}
		last = s
	}
	for _, m := range marks {
		fmt.Fprintf(&b, "%8.1f -- %s\n", m.At.Seconds(), m.Text)
	}
	return b.String()
}

func same(a, b Sample) bool {
	a.At = b.At
	return a == b || math.IsNaN(a.Value) && math.IsNaN(b.Value) && a.Load == b.Load &&
		a.Desired == b.Desired && a.Replicas == b.Replicas && a.Ready == b.Ready
}

func number(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.4g", v)
}
