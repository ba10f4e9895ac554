package otlpreceiver

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

// decode reads a request. Nothing of the result points into b.
func decode(b []byte) (pmetric.Metrics, error) {
	req := pmetricotlp.NewExportRequest()
	if err := req.UnmarshalProto(b); err != nil {
		return pmetric.Metrics{}, err
	}
	return req.Metrics(), nil
}

// attribute is an OTLP attribute as the rest of the package sees it. Queries
// match text, so values of every type are text: 8080 is "8080", a list or map
// is its JSON and bytes are base64.
type attribute struct{ key, value string }

// appendAttributes appends the attributes of m to dst.
func appendAttributes(dst []attribute, m pcommon.Map) []attribute {
	for k, v := range m.All() {
		dst = append(dst, attribute{k, v.AsString()})
	}
	return dst
}
