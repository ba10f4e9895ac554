package serve

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/protobuf/encoding/protojson"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

// hostile are queries by which somebody in namespace a may try to learn of b's
// secret_metric, whose labels are all called secret something.
var hostile = []string{
	`sum(secret_metric)`, `sum(secret_metri)`, `secret_metric{namespace="b"}`, `sum(secret_metric{namespace=~"a|b"})`, `sum({__name__=~"secret.*"})`,
	`count({namespace!=""})`, `sum(secret_metric{pod="secret-pod-0"})`, `count(count by (pod) ({__name__=~".+"}))`, `absent(secret_metric)`,
	`sum(mine) or sum(secret_metric)`, `sum(mine) + on () group_left () sum(secret_metric)`, `sum(mine * on (pod) secret_metric)`,
	`count(info(mine))`, `count(info(mine, {__name__="secret_metric"}))`, `label_replace(secret_metric, "namespace", "a", "", "")`,
	`sum(rate(secret_metric[1m]))`, `max_over_time(sum(secret_metric)[1m:5s])`, `sum(secret_metric offset 1s)`, `sum(secret_metric @ end())`,
	`histogram_quantile(0.9, sum by (le) (secret_metric))`, `topk(1, secret_metric)`, `quantile(0.5, secret_metric)`, `count_values("v", secret_metric)`,
	`secret_metric > 3`, `scalar(secret_metric)`, `sum(secret_metric{namespace=b})`, `avg(secret_metric{deployment="x"})`,
	`sum(secret_metric{namespace="a"}{namespace="b"})`, `sum(rate(secret_metric[1m]){namespace="b", deployment="x"})`, `mine{pod="secret-pod-0"}`,
	`sum({"secret_metric", namespace="a"})`, `limitk(5, {__name__=~".+"})`, `sum(mine{secret_label="secret"})`, `(`,
}

func gauges(namespace, metric string, pods int) pmetricotlp.ExportRequest {
	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(metric)
	points := m.SetEmptyGauge().DataPoints()
	for i := range pods {
		p := points.AppendEmpty()
		p.SetTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		p.SetDoubleValue(7)
		p.Attributes().PutStr("namespace", namespace)
		p.Attributes().PutStr("pod", fmt.Sprintf("%s-pod-%d", strings.TrimSuffix(metric, "_metric"), i))
		if namespace == "b" {
			p.Attributes().PutStr("secret_label", "secret")
		}
	}
	return pmetricotlp.NewExportRequestFromMetrics(md)
}

func inNamespace(namespace, text string) *pb.ScaledObjectRef {
	return &pb.ScaledObjectRef{Name: text, Namespace: namespace, ScalerMetadata: map[string]string{"metricQuery": text, "targetValue": "4"}}
}

// moments are what differs between two runs of the same.
var moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z|"age":"[0-9.]+s"|\d+(\.\d+)?m?s ago`)

// learnt is all that somebody in namespace a is told about a query.
func learnt(t *testing.T, i *instance, text string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), generous)
	defer cancel()
	var out strings.Builder
	keda, object := pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)), inNamespace("a", text)
	spec, err := keda.GetMetricSpec(ctx, object)
	for _, s := range spec.GetMetricSpecs() {
		fmt.Fprintln(&out, "spec:", s.GetMetricName(), s.GetTargetSizeFloat())
	}
	fmt.Fprintln(&out, "spec:", err)
	values, err := keda.GetMetrics(ctx, &pb.GetMetricsRequest{ScaledObjectRef: object})
	for _, v := range values.GetMetricValues() {
		fmt.Fprintln(&out, "value:", v.GetMetricName(), v.GetMetricValueFloat())
	}
	fmt.Fprintln(&out, "values:", err)
	active, err := keda.IsActive(ctx, object)
	fmt.Fprintln(&out, "active:", active.GetResult(), err)
	streaming, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if stream, err := keda.StreamIsActive(streaming, object); err == nil {
		first, err := stream.Recv()
		fmt.Fprintln(&out, "stream:", first.GetResult(), err)
	}
	var explained inspectv1.GetScaledObjectResponse
	err = dialGRPC(t, i.HTTP).Invoke(ctx, inspectv1.InspectServiceGetScaledObjectProcedure, &inspectv1.GetScaledObjectRequest{Namespace: "a", Name: text}, &explained)
	fmt.Fprintln(&out, "explained:", err)
	for _, trigger := range explained.GetScaledObject().GetTriggers() {
		fmt.Fprintln(&out, trigger.GetVerdict())
		for _, s := range trigger.GetSelectors() {
			fmt.Fprintln(&out, "selector:", strings.ReplaceAll(protojson.Format(s), " ", ""))
		}
		for _, e := range trigger.GetErrors() {
			fmt.Fprintln(&out, "error:", e.GetText())
		}
	}
	code, body := get(t, i.HTTP, "/keda/api/v1/query?namespace=a&query="+url.QueryEscape(text))
	fmt.Fprintln(&out, "prometheus trigger:", code, regexp.MustCompile(`\[\d+(\.\d+)?,`).ReplaceAllString(body, "["))
	return moments.ReplaceAllString(out.String(), "then")
}

// TestAnotherNamespaceMightAsWellNotBeThere: all that a is told, word for word, is
// the same whether b has series or not. What can't be told apart can't be read
// or guessed.
func TestAnotherNamespaceMightAsWellNotBeThere(t *testing.T) {
	var with, without []string
	for _, all := range []*[]string{&with, &without} {
		i := start(t, "--enforce-namespace-label=namespace", "--warm-up=0")
		client := pmetricotlp.NewGRPCClient(dialGRPC(t, i.OTLPGRPC))
		_, err := client.Export(t.Context(), gauges("a", "mine", 2))
		require.NoError(t, err)
		if all == &with {
			_, err = client.Export(t.Context(), gauges("b", "secret_metric", 5))
			require.NoError(t, err)
			_, err = pb.NewExternalScalerClient(dialGRPC(t, i.KEDAGRPC)).GetMetrics(t.Context(), &pb.GetMetricsRequest{ScaledObjectRef: inNamespace("b", `sum(secret_metric)`)})
			require.NoError(t, err, "b sees its own")
		}
		for _, text := range hostile {
			*all = append(*all, learnt(t, i, text))
		}
		_, err = i.wait(t)
		require.NoError(t, err)
	}
	for n, text := range hostile {
		require.Equal(t, without[n], with[n], text)
	}
	require.Contains(t, strings.Join(with, ""), "mine", "the comparison compares something")
}
