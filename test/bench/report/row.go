package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Row is one line of the table.
type Row struct {
	Section string
	What    string
	Value   float64
	Unit    string // empty for a ratio
	Runs    []float64
	Bar     *Bar   // nil where nothing is promised
	Note    string // what to know in order to read the value
	Missing string // why there is no value, if there is none
}

// Bar is the most a row's value may be.
type Bar struct {
	Limit float64
	Below bool // the limit itself fails
}

// Verdict says whether the row's bar is met, or "" where it has none.
func (r Row) Verdict() string {
	switch {
	case r.Bar == nil:
		return ""
	case r.Missing != "":
		return "not measured"
	case r.Value < r.Bar.Limit, r.Value == r.Bar.Limit && !r.Bar.Below:
		return "pass"
	default:
		return "fail"
	}
}

func (r Row) value() string {
	if r.Missing != "" {
		return r.Missing
	}
	return withUnit(number(r.Value), r.Unit)
}

// spread shows the least and the most of the runs behind the value.
func (r Row) spread() string {
	if r.Missing != "" || len(r.Runs) < 2 {
		return ""
	}
	return number(slices.Min(r.Runs)) + " – " + number(slices.Max(r.Runs))
}

func (r Row) bar() string {
	if r.Bar == nil {
		return ""
	}
	sign := "≤ "
	if r.Bar.Below {
		sign = "< "
	}
	return sign + withUnit(strconv.FormatFloat(r.Bar.Limit, 'f', -1, 64), r.Unit)
}

func withUnit(number, unit string) string {
	if unit == "" {
		return number
	}
	return number + " " + unit
}

// number keeps three digits, which is more than a run repeats.
func number(v float64) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return fmt.Sprint(v)
	case v == 0:
		return "0"
	}
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	return strconv.FormatFloat(v, 'f', max(digits, 0), 64)
}
