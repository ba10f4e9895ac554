package check

import (
	"fmt"
	"slices"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/manifest"
)

// Severity is how bad a finding is.
type Severity string

// The severities.
const (
	// Error is a fault: it is refused, or it never does what it is for.
	Error Severity = "error"
	// Warning works, though probably not as it was meant.
	Warning Severity = "warning"
	// Note says what is made of something unusual.
	Note Severity = "note"
)

// Finding is something about one field of an object, with what to write.
type Finding struct {
	manifest.Position
	Severity Severity
	Object   string // kind, namespace and name
	Field    string // its path in the object
	Message  string
	// Source is the file, for those who show the line.
	Source *manifest.Source
}

// maxFindings is how many are kept of one object.
const maxFindings = 200

// report collects what is found in an object.
type report struct {
	object   manifest.Object
	findings []Finding
}

// add reports something, unless an error at the same place says enough: what
// follows from a fault is no fault of its own.
func (r *report) add(s Severity, at manifest.Position, n manifest.Node, format string, args ...any) {
	if len(r.findings) == maxFindings {
		return
	}
	path := n.Path()
	if slices.ContainsFunc(r.findings, func(f Finding) bool { return f.Severity == Error && f.Field == path }) {
		return
	}
	r.findings = append(r.findings, Finding{at, s, r.object.String(), path, fmt.Sprintf(format, args...), r.object.Source()})
}

func (r *report) errorf(n manifest.Node, format string, args ...any) {
	r.add(Error, n.Position(), n, format, args...)
}

func (r *report) warnf(n manifest.Node, format string, args ...any) {
	r.add(Warning, n.Position(), n, format, args...)
}
