package scaler

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuantities(t *testing.T) {
	for in, want := range map[string]float64{
		"4": 4, "0": 0, "-1": -1, "100.50": 100.5, ".5": 0.5, "1e3": 1000, "1E3": 1000, "1E": 1e18, "+2": 2, " 4 ": 4,
		"500m": 0.5, "1m": 0.001, "100u": 0.0001, "1n": 1e-9, "2k": 2000, "3M": 3e6, "1G": 1e9, "1T": 1e12, "1P": 1e15,
		"1Ki": 1024, "1.5Mi": 1.5 * (1 << 20), "1Gi": 1 << 30, "1Ti": 1 << 40, "1Pi": 1 << 50, "1Ei": 1 << 60, "-500m": -0.5,
	} {
		got, err := ParseQuantity(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in) //nolint:testifylint // exact on purpose
	}
	for _, in := range []string{"", " ", "m", "abc", "4x", "NaN", "inf", "-Inf", "0x10", "1_000", "4 4", "4mm", "1e999", "1e300Ei", "--4", "1,5", "50%"} {
		_, err := ParseQuantity(in)
		require.ErrorIs(t, err, errNotQuantity, "%q", in)
	}
}
