package serve

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/certtest"
)

// alerts is the only source of the alert rules, whatever they are wrapped in.
const alerts = "../../deploy/dashboards/alerts.yaml"

// scrape returns /metrics of an instance with all that has metrics, which has
// been pushed to and asked.
func scrape(t *testing.T) string {
	t.Helper()
	files := certtest.Server(t, certtest.New(t, certtest.Authority(t)))
	files["http"] = []byte(askers)
	volume := certtest.NewVolume(t, files)
	i := start(t, append(tlsFlags(t, volume, "otlp-http"), "--warm-up=0", "--http-token-file="+volume.Path("http"), "--snapshot-path="+filepath.Join(t.TempDir(), "snapshot"))...)
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	_, err := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)).Export(ctx, push("queue_length", 42))
	require.NoError(t, err)
	_, err = pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object()})
	require.NoError(t, err)
	_, err = send(ctx, http.DefaultClient, http.MethodGet, "http://"+i.HTTP.String()+"/api/v1/query?query=1", nil, "Authorization", "Bearer "+askers)
	require.NoError(t, err)
	get(t, i.Telemetry, "/metrics") // whose errors exist after the first
	_, text := get(t, i.Telemetry, "/metrics")
	_, err = i.wait(t)
	require.NoError(t, err)
	return text
}

var typeLine = regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`)

// exported returns the types of the metrics of a scrape.
func exported(text string) map[string]string {
	types := map[string]string{}
	for _, line := range typeLine.FindAllStringSubmatch(text, -1) {
		types[line[1]] = line[2]
	}
	return types
}

func TestMetricsFollowTheConventions(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(scrape(t))).Lint()
	require.NoError(t, err)
	require.Empty(t, problems)
}

// TestEveryMetricIsDocumented, with its type, and nothing else is. Families of
// libraries are documented as a whole, such as go_*.
func TestEveryMetricIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/TELEMETRY.md")
	require.NoError(t, err)
	documented, families := map[string]string{}, []string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)(\\*?)` \\| (\\w*)").FindAllStringSubmatch(string(page), -1) {
		if row[2] == "*" {
			families = append(families, row[1])
		} else {
			documented[row[1]] = row[3]
		}
	}
	types := exported(scrape(t))
	for _, family := range families {
		n := len(types)
		maps.DeleteFunc(types, func(name, _ string) bool { return strings.HasPrefix(name, family) })
		require.Less(t, len(types), n, "%s* is of no metric", family)
	}
	require.Equal(t, types, documented)
}

// requireKnown parses an expression, and finds all of its metrics in a scrape.
func requireKnown(t *testing.T, text string, types map[string]string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	require.NoError(t, err, text)
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		vs, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		i := slices.IndexFunc(vs.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == labels.MetricName })
		require.GreaterOrEqual(t, i, 0, "%s names no metric", vs)
		name := vs.LabelMatchers[i].Value
		if name == "up" {
			return nil
		}
		if histogram := strings.TrimSuffix(name, "_bucket"); types[histogram] == "histogram" {
			return nil
		}
		require.Contains(t, types, name, "of %s", text)
		return nil
	})
}

// TestRequestsLogNothing: at info a line is an event, not a push or a poll.
func TestRequestsLogNothing(t *testing.T) {
	i := start(t, "--warm-up=0")
	otlp, keda := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC)), pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC))
	ask := func(value float64) {
		_, err := otlp.Export(t.Context(), push("queue_length", value))
		require.NoError(t, err)
		_, err = keda.GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: object()})
		require.NoError(t, err)
		_, err = keda.IsActive(t.Context(), object())
		require.NoError(t, err)
	}
	ask(1)
	before := i.log.String()
	require.Contains(t, before, "for the first time\" scaledobject=default/model")
	for n := range 1000 {
		ask(float64(1 + n))
	}
	require.Equal(t, before, i.log.String())
	_, err := i.wait(t)
	require.NoError(t, err)
}
