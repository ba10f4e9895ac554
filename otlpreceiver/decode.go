package otlpreceiver

import (
	"bytes"
	"encoding/json"
	"errors"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
)

var errIsJSON = errors.New("it is JSON: send it with the content type application/json")

// decode reads a request. Nothing of the result points into b.
func decode(b []byte) (pmetric.Metrics, error) {
	req := pmetricotlp.NewExportRequest()
	err := req.UnmarshalProto(b)
	if (err != nil || req.Metrics().DataPointCount() == 0) && isJSON(b) {
		// Text can be well-formed protobuf, all of it fields that nobody knows: its
		// sender would be told that the points are stored.
		return pmetric.Metrics{}, errIsJSON
	}
	if err != nil {
		return pmetric.Metrics{}, err
	}
	return req.Metrics(), nil
}

func isJSON(b []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("{")) && json.Valid(b)
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
