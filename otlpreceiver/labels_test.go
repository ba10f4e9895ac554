package otlpreceiver

import (
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	mpb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// pointWith is a gauge g of 1 with any attributes.
func pointWith(attrs ...*commonpb.KeyValue) *mpb.Metric {
	return gaugeOf("g", &mpb.NumberDataPoint{TimeUnixNano: at(0), Attributes: attrs, Value: &mpb.NumberDataPoint_AsInt{AsInt: 1}})
}

func TestAttributesOfEveryTypeMatchAsText(t *testing.T) {
	array := func(vs ...*commonpb.AnyValue) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: vs}}}
	}
	number := func(i int64) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: i}}
	}
	kvlist := func(kvs ...*commonpb.KeyValue) *commonpb.AnyValue {
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: kvs}}}
	}
	for name, c := range map[string]struct {
		v    *commonpb.AnyValue
		want string
	}{
		"string": {str("a b"), `g{x="a b"} 1@0`},
		"true":   {&commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}, `g{x="true"} 1@0`},
		"false":  {&commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{}}, `g{x="false"} 1@0`},
		"int":    {number(-8080), `g{x="-8080"} 1@0`},
		"zero":   {number(0), `g{x="0"} 1@0`},
		"double": {&commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 1.5}}, `g{x="1.5"} 1@0`},
		"bytes":  {&commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{0, 0xff}}}, `g{x="AP8="} 1@0`},
		"array":  {array(str("a"), number(1), array()), `g{x="[\"a\",1,[]]"} 1@0`},
		"map":    {kvlist(attr("z", number(1)), attr("a", kvlist(attr("b", array(str("<")))))), `g{x="{\"a\":{\"b\":[\"<\"]},\"z\":1}"} 1@0`},
		"none":   {&commonpb.AnyValue{}, `g{} 1@0`},
		"nil":    {nil, `g{} 1@0`},
		"empty":  {str(""), `g{} 1@0`},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, config{})
			h.sendOK(pointWith(attr("x", c.v)))
			require.Equal(t, []string{c.want}, h.held(""))
		})
	}
}

func TestNames(t *testing.T) {
	for sent, want := range map[string]string{
		"vllm:num_requests_running":  "vllm:num_requests_running",
		"process_cpu_seconds_total":  "process_cpu_seconds_total",
		"http.server/request-size":   "http_server_request_size",
		"a__b":                       "a__b",
		"a..b":                       "a_b",
		"2xx":                        "_2xx",
		"temperatur °C":              "temperatur_C",
		".dotted.":                   "dotted",
		"cpu\xe2\x82\xacutilization": "cpu_utilization",
	} {
		h := serve(t, config{})
		h.sendOK(gaugeOf(sent, double(0, 1)))
		require.Equal(t, []string{want + "{} 1@0"}, h.held(""), "%q", sent)
	}
}

func TestUnitAndTypeAddNoSuffix(t *testing.T) {
	h := serve(t, config{})
	m := sumOf("requests", cumulative, true, double(0, 1))
	m.Unit = "s"
	h.sendOK(m)
	require.Equal(t, []string{"requests{} 1@0"}, h.held(""))
}

func TestUnusableNamesCostOnlyTheirPoints(t *testing.T) {
	h := serve(t, config{})
	ps := h.send(gaugeOf("", double(0, 1), double(0, 2)), gaugeOf("日本語", double(0, 3)), gaugeOf("good", double(0, 4)))
	require.EqualValues(t, 3, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), "a metric has no name (data points rejected: 2)")
	require.Contains(t, ps.GetErrorMessage(), `metric "日本語": `)
	require.Equal(t, []string{"good{} 4@0"}, h.held(""))
}

func TestLabelNames(t *testing.T) {
	for sent, want := range map[string]string{
		"http.status_code": "http_status_code",
		"a:b":              "a_b", // a colon is for metric names
		"1st":              "key_1st",
		"a__b":             "a__b",
		"_x":               "key_x",
		"größe":            "gr__e",
		"__reserved__":     "__reserved__",
	} {
		h := serve(t, config{})
		h.sendOK(pointWith(attr(sent, str("v"))))
		require.Equal(t, []string{`g{` + want + `="v"} 1@0`}, h.held(""), "%q", sent)
	}
}

func TestCollidingAttributesAreJoinedInTheOrderOfTheirKeys(t *testing.T) {
	h := serve(t, config{attributes: []string{"*"}})
	require.Nil(t, h.export(resource(kv("r_x", "2", "r.x", "1"),
		gaugeOf("g", double(0, 1, "a_b", "third", "a.b", "second", "a-b", "first", "a/b", "")))))
	require.Equal(t, []string{`g{a_b="first;second;third", r_x="1;2"} 1@0`}, h.held(""))
}

func TestOrderOfAttributesDoesNotMakeASecondSeries(t *testing.T) {
	h := serve(t, config{})
	h.sendOK(gaugeOf("g", double(-1, 1, "a", "1", "b", "2")), gaugeOf("g", double(0, 2, "b", "2", "a", "1")))
	require.Equal(t, []string{`g{a="1", b="2"} 1@-1 2@0`}, h.held(""))
}

func TestOurLabelsWinOverAttributesOfTheirName(t *testing.T) {
	h := serve(t, config{})
	hp := buckets(0, nil, []uint64{1}, 1, "le", "mine", "__name__", "mine", "quantile", "kept")
	sp := summaryPoint(0, 1, 1, 0.5, 2)
	sp.Attributes = kv("quantile", "mine", "le", "kept")
	h.sendOK(gaugeOf("g", double(0, 1, "__name__", "evil", "le", "kept", "quantile", "kept")), histogramOf("h", cumulative, hp), summaryOf("s", sp))
	require.Equal(t, []string{
		`g{le="kept", quantile="kept"} 1@0`,
		`h_bucket{le="+Inf", quantile="kept"} 1@0`,
		`h_count{quantile="kept"} 1@0`,
		`h_sum{quantile="kept"} 1@0`,
		`s_count{le="kept"} 1@0`,
		`s_sum{le="kept"} 1@0`,
		`s{le="kept", quantile="0.5"} 2@0`,
	}, h.held(""))
	h.each(labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+"), func(lset labels.Labels, _ chunkenc.Iterator) {
		requireLabels(t, lset)
	})
}

func TestLabelsBeyondTheLimitAreRejected(t *testing.T) {
	h := serve(t, config{})
	long := strings.Repeat("x", maxLabelBytes)
	ps := h.send(gaugeOf("g", double(0, 1, "a", long), double(0, 2, "a", "short")), gaugeOf("g"+long, double(0, 3)))
	require.EqualValues(t, 2, ps.GetRejectedDataPoints())
	require.Contains(t, ps.GetErrorMessage(), "32768 are allowed")
	require.Less(t, len(ps.GetErrorMessage()), 2000)
	require.Equal(t, []string{`g{a="short"} 2@0`}, h.held(""))
}

// Generated clients refuse to send this, so the bytes are made by hand: a
// point whose attribute x is not UTF-8.
func TestInvalidUTF8IsMendedNotPassedOn(t *testing.T) {
	h := serve(t, config{})
	b := encoded(t, pointWith(attr("x", str("a??b"))), gaugeOf("n??", double(0, 1)), gaugeOf("bad??", &mpb.NumberDataPoint{TimeUnixNano: at(0)}))
	b = []byte(strings.ReplaceAll(string(b), "??", "\xff\xfe"))
	out, err := h.raw(h.conn, b)
	require.NoError(t, err)
	require.Equal(t, []string{`g{x="a` + "\uFFFD" + `b"} 1@0`, "n{} 1@0"}, h.held(""))
	require.Contains(t, string(out), "bad\uFFFD")
}
