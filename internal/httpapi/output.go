package httpapi

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"sync"
)

const (
	// piece is how much of an answer is gathered before it goes out, in bytes.
	// What fits into one goes with its length; of the rest no more is in memory
	// at a time.
	piece = 32 << 10
	// zipFrom is the least answer worth compressing: what KEDA asks for fits into
	// a packet as it is.
	zipFrom = 1 << 10
)

var zippers = sync.Pool{New: func() any {
	z, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed) // the level exists
	return z
}}

// output writes one answer.
type output struct {
	w       http.ResponseWriter
	zips    bool // the client takes gzip
	buf     []byte
	zip     *gzip.Writer // set while a compressed answer is under way
	code    int
	started bool  // the header is out
	err     error // of the connection
}

// more sends what has gathered if it is a piece, and tells whether there is
// still somebody to write for.
func (o *output) more() bool {
	if len(o.buf) >= piece {
		o.flush()
	}
	return o.err == nil
}

func (o *output) flush() {
	if !o.started {
		o.start(len(o.buf) >= zipFrom)
	}
	if o.err == nil {
		if o.zip != nil {
			_, o.err = o.zip.Write(o.buf)
		} else {
			_, o.err = o.w.Write(o.buf)
		}
	}
	o.buf = o.buf[:0]
}

// start sends the header.
func (o *output) start(large bool) {
	o.started = true
	if o.code == 0 {
		o.code = http.StatusOK
	}
	h := o.w.Header()
	h.Set("Content-Type", "application/json")
	h.Add("Vary", "Accept-Encoding")
	if o.zips && large {
		h.Set("Content-Encoding", "gzip")
		o.zip = zippers.Get().(*gzip.Writer) //nolint:errcheck // the pool holds nothing else
		o.zip.Reset(o.w)
	}
	o.w.WriteHeader(o.code)
}

// finish sends the rest.
func (o *output) finish() {
	if !o.started && (!o.zips || len(o.buf) < zipFrom) {
		o.w.Header().Set("Content-Length", strconv.Itoa(len(o.buf)))
	}
	o.flush()
	if o.zip != nil {
		if err := o.zip.Close(); o.err == nil {
			o.err = err
		}
		zippers.Put(o.zip)
		o.zip = nil
	}
}

func (o *output) empty(code int) {
	o.code, o.started = code, true
	o.w.WriteHeader(code)
}

// succeed writes Prometheus' envelope around data.
func (o *output) succeed(result answer) {
	o.buf = append(o.buf, `{"status":"success","data":`...)
	result.data(o)
	// As many as Prometheus tells of.
	warnings, infos := result.warnings.AsStrings(result.query, 10, 10)
	o.notes(`,"warnings":`, warnings)
	o.notes(`,"infos":`, infos)
	o.buf = append(o.buf, '}')
	o.finish()
}

func (o *output) notes(field string, notes []string) {
	if len(notes) == 0 {
		return
	}
	slices.Sort(notes) // they come out of a map
	o.buf = append(o.buf, field...)
	o.json(notes)
}

func (o *output) fail(e *apiError) {
	o.code = e.code
	o.json(struct {
		Status    string `json:"status"`
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}{"error", e.name, e.err.Error()})
	o.finish()
}

// json appends what is small or odd. Every value given to it can be marshalled.
func (o *output) json(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	o.buf = append(o.buf, text...)
}
