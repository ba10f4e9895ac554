package scaler

import "fmt"

// OnMissing is what to answer when a query's result is empty.
type OnMissing int

// What to answer when there is no data.
const (
	// Hold decides by why there is none; see decide.
	Hold OnMissing = iota
	// Zero answers 0 and inactive.
	Zero
	// Error answers an error, so that KEDA and the HPA hold.
	Error
	// Value answers a fixed value.
	Value
)

var onMissingNames = [...]string{Hold: "hold", Zero: "zero", Error: "error", Value: "value"}

// String returns the policy as metadata and flags name it.
func (o OnMissing) String() string { return onMissingNames[o] }

// ParseOnMissing reads hold, zero, error or value.
func ParseOnMissing(s string) (OnMissing, error) {
	for o, name := range onMissingNames {
		if s == name {
			return OnMissing(o), nil
		}
	}
	return 0, fmt.Errorf("%q is none of hold, zero, error, value", s)
}

// Missing is a policy with the value that Value answers.
type Missing struct {
	Policy OnMissing
	Value  float64
}
