package otlpreceiver

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// field is a field of bytes.
func field(tag byte, of ...[]byte) []byte {
	b := slices.Concat(of...)
	return append(protowire.AppendVarint([]byte{tag}, uint64(len(b))), b...)
}

// TestTextNeedsNoPdata sends attributes as they are written every day, which are
// labels without pdata, and odd ones, of which pdata says what they mean.
func TestTextNeedsNoPdata(t *testing.T) {
	key := func(s string) []byte { return field(keyValueKey, []byte(s)) }
	value := func(s string) []byte { return field(keyValueValue, field(anyValueString, []byte(s))) }
	attribute := func(of ...[]byte) []byte { return field(numberAttributes, of...) }
	for name, tc := range map[string]struct {
		attributes []byte
		odd        bool
	}{
		"none":              {},
		"one":               {attribute(key("a"), value("1")), false},
		"in any order":      {slices.Concat(attribute(value("2"), key("b")), attribute(key("a"), value("1"))), false},
		"one name, twice":   {slices.Concat(attribute(key("a.b"), value("2")), attribute(key("a_b"), value("1")), attribute(key("a.b"), value("3"))), false},
		"no text":           {attribute(key("a"), value("")), false},
		"no key's text":     {attribute(key(""), value("1")), false},
		"no UTF-8":          {attribute(key("a"), value("\xff")), false},
		"no UTF-8 as a key": {attribute(key("\xff"), value("1")), false},
		"a metric's name":   {attribute(key("__name__"), value("n")), false},
		"long":              {attribute(key("a"), value(string(make([]byte, 300)))), false},
		"too long":          {attribute(key("a"), value(string(make([]byte, maxLabelBytes)))), false},
		"no key":            {attribute(value("1")), true},
		"no value":          {attribute(key("a")), true},
		"nothing":           {attribute(), true},
		"two keys":          {attribute(key("a"), key("b"), value("1")), true},
		"two values":        {attribute(key("a"), value("1"), value("2")), true},
		"an empty value":    {attribute(key("a"), field(keyValueValue)), true},
		"two texts":         {attribute(key("a"), field(keyValueValue, field(anyValueString, []byte("1")), field(anyValueString, []byte("2")))), true},
		"a bool":            {attribute(key("a"), field(keyValueValue, []byte{2 << 3, 1})), true},
		"a number":          {attribute(key("a"), field(keyValueValue, []byte{3 << 3, 7})), true},
		"bytes":             {attribute(key("a"), field(keyValueValue, field(7<<3|wireBytes, []byte("1")))), true},
		"what nobody knows": {attribute(key("a"), value("1"), field(9<<3|wireBytes)), true},
		"one of two is odd": {slices.Concat(attribute(key("a"), value("1")), attribute(key("b"))), true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, more := range [][]byte{nil, {numberFlags, noRecordedValue}, {numberFlags, 0}} {
				double := protowire.AppendFixed64([]byte{numberDouble}, 0x3ff0000000000000)
				time := protowire.AppendFixed64([]byte{pointTime}, at(0))
				point := slices.Concat(more, time, tc.attributes, double)
				named := slices.Concat(field(metricName, []byte("g")), field(metricGauge, field(dataPoints, point)))
				b := enclose(nil, named, metricPath...)
				p := newPair(t)
				in := newBatch(p.hot.receiver)
				require.True(t, in.read(b))
				require.Zero(t, in.own)
				require.Equal(t, tc.odd, len(in.decoded) > 0)
				p.send(b)
				p.send(b)
			}
		})
	}
}
