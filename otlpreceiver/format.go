package otlpreceiver

import (
	"encoding/json"
	"errors"

	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// format is one of OTLP's two ways to write a request and its answer.
type format struct {
	contentType string
	hot         bool // the hot path can read it
	decode      func([]byte) (pmetric.Metrics, error)
	accepted    response // the answer if there is nothing to say
	partly      func(pmetricotlp.ExportResponse) ([]byte, error)
	failure     func(protoreflect.ProtoMessage) ([]byte, error)
}

// OTLP wants partial_success unset where all is well, so that answer is empty.
var (
	protobufFormat = &format{
		contentType: "application/x-protobuf",
		hot:         true,
		decode:      decode,
		partly:      pmetricotlp.ExportResponse.MarshalProto,
		failure:     proto.Marshal,
	}
	jsonFormat = &format{
		contentType: "application/json",
		decode:      decodeJSON,
		accepted:    response("{}"),
		partly:      pmetricotlp.ExportResponse.MarshalJSON,
		failure:     protojson.Marshal,
	}
)

var errJSON = errors.New("it is not one JSON object")

// decodeJSON reads a request in JSON. pdata reads what it knows and stops at
// the end of that, however it goes on, and it goes as deep as the text does:
// encoding/json sees to it that there is one value, and no deeper than 10,000.
func decodeJSON(b []byte) (pmetric.Metrics, error) {
	if !json.Valid(b) {
		return pmetric.Metrics{}, errJSON
	}
	req := pmetricotlp.NewExportRequest()
	if err := req.UnmarshalJSON(b); err != nil {
		return pmetric.Metrics{}, err
	}
	return req.Metrics(), nil
}
