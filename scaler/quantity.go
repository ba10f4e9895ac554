package scaler

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// factors are those of the suffixes of Kubernetes' resource.Quantity.
var factors = map[string]float64{
	"n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}

var errNotQuantity = errors.New("is not a number")

// ParseQuantity reads a finite number or a Kubernetes quantity such as 500m, as
// triggers' targets are.
func ParseQuantity(s string) (float64, error) {
	s = strings.TrimSpace(s)
	digits := strings.TrimRight(s, "numkKMGTPEi")
	factor, known := factors[s[len(digits):]]
	v, err := strconv.ParseFloat(digits, 64)
	// ParseFloat also takes hexadecimal, "inf" and "nan", which are no quantities.
	if !known || err != nil || strings.Trim(digits, "0123456789.eE+-") != "" || math.IsInf(v*factor, 0) {
		return 0, errNotQuantity
	}
	if factor < 1 {
		return v / math.Round(1/factor), nil // 500m is 0.5 to the last bit
	}
	return v * factor, nil
}
