package otlp

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// held is what a receiver has stored: each series with its samples as text, in
// the order of their times.
type held map[string][]string

// text returns one line a series.
func (h held) text() string {
	var lines []string
	for series, samples := range h {
		lines = append(lines, series+" "+strings.Join(samples, " ")+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func (h held) float(lset labels.Labels, t int64, v float64) {
	text := fmt.Sprint(v)
	if value.IsStaleNaN(v) {
		text = "stale"
	}
	h.add(lset, t, text)
}

func (h held) add(lset labels.Labels, t int64, text string) {
	h[lset.String()] = append(h[lset.String()], fmt.Sprintf("%s@%gs", text, float64(t-began.UnixMilli())/1000))
}

// native adds a histogram without what it says about resets, which each store
// finds out in its own way.
func (h held) native(lset labels.Labels, t int64, fh *histogram.FloatHistogram) {
	h.add(lset, t, fmt.Sprintf("schema %d, zero <= %g, %s", fh.Schema, fh.ZeroThreshold, fh))
}

// identifying are the attributes that become job and instance. Prometheus, told
// to make labels of all, makes labels of these once more; we don't.
var identifying = []string{"service.name", "service.namespace", "service.instance.id"}

// theirs is Prometheus' receiver, with our default settings where it has them.
type theirs struct {
	handler http.Handler

	mu   sync.Mutex // guards what follows
	held held
	said map[string]metadata.Metadata // by the family's name
}

func newTheirs() *theirs {
	p := &theirs{held: held{}, said: map[string]metadata.Metadata{}}
	settings := func() config.Config {
		c := config.DefaultConfig
		c.OTLPConfig.TranslationStrategy = otlptranslator.UnderscoreEscapingWithoutSuffixes
		c.OTLPConfig.PromoteAllResourceAttributes = true
		c.OTLPConfig.IgnoreResourceAttributes = identifying
		return c
	}
	p.handler = remote.NewOTLPWriteHandler(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), p, settings, remote.OTLPOptions{ConvertDelta: true})
	return p
}

// AppenderV2 implements storage.AppendableV2.
func (p *theirs) AppenderV2(context.Context) storage.AppenderV2 { return &appender{p} }

type appender struct{ to *theirs }

// Append implements storage.AppenderV2.
func (a *appender) Append(_ storage.SeriesRef, lset labels.Labels, _, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, o storage.AppendV2Options) (storage.SeriesRef, error) {
	a.to.mu.Lock()
	defer a.to.mu.Unlock()
	if o.MetricFamilyName != "target_info" { // which we don't make
		a.to.said[o.MetricFamilyName] = o.Metadata
	}
	switch {
	case h != nil:
		a.to.held.native(lset, t, h.ToFloat(nil))
	case fh != nil:
		a.to.held.native(lset, t, fh)
	default:
		a.to.held.float(lset, t, v)
	}
	return 0, nil
}

// Commit implements storage.AppenderTransaction.
func (*appender) Commit() error { return nil }

// Rollback implements storage.AppenderTransaction.
func (*appender) Rollback() error { return nil }

// post sends metrics to a handler as a Collector does, and returns the status.
func post(t *testing.T, to http.Handler, md pmetric.Metrics) int {
	t.Helper()
	body, err := pmetricotlp.NewExportRequestFromMetrics(md).MarshalProto()
	require.NoError(t, err)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/metrics", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/x-protobuf")
	res := httptest.NewRecorder()
	to.ServeHTTP(res, req)
	return res.Code
}
