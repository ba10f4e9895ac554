package admission

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
	"github.com/keda-otel-scaler/keda-otel-scaler/query"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

// Path is where the API server asks.
const Path = "/validate"

const (
	maxBody     = 4 << 20 // above the 3 MiB that the API server takes itself
	maxTriggers = 100     // of one object that are looked at
	maxWarnings = 10
	maxMessage  = 16 << 10 // bytes of all faults
	maxLine     = 160      // bytes shown of the line that the caret is under
)

// Checker finds the faults of a trigger's metadata, and the keys that nothing
// reads.
type Checker interface {
	Check(namespace string, metadata map[string]string) (found []*scaler.Fault, unread []string)
}

// Options configure the handler.
type Options struct {
	Checker Checker
	// Service is the name of the Service by which triggers reach us.
	Service string
	// Concurrency is how many objects are checked at a time; more wait (4).
	Concurrency int
}

// New returns the handler of Path.
func New(o Options) http.Handler {
	if o.Concurrency <= 0 {
		o.Concurrency = 4
	}
	h := &handler{Options: o, checks: limit.NewSemaphore(o.Concurrency)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, h.serve)
	return mux
}

type handler struct {
	Options
	checks limit.Semaphore
}

func (h *handler) serve(w http.ResponseWriter, r *http.Request) {
	if h.checks.Acquire(r.Context()) != nil {
		return
	}
	defer h.checks.Release()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		http.Error(w, fmt.Sprintf("the review has more than %d bytes", maxBody), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := h.review(r.Context(), body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // the API server has gone, or has it
}

// review answers a review. The error is for who sends something else.
func (h *handler) review(ctx context.Context, body []byte) (*review, error) {
	var in review
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("want an AdmissionReview of %s: %w", reviewVersion, err)
	}
	if in.APIVersion != reviewVersion || in.Kind != reviewKind || in.Request == nil || in.Request.UID == "" {
		return nil, fmt.Errorf("want an AdmissionReview of %s with a request, got %q of %q", reviewVersion, in.Kind, in.APIVersion)
	}
	out := &response{UID: in.Request.UID, Allowed: true}
	if in.Request.concerns() {
		h.check(ctx, in.Request, out)
	}
	return &review{APIVersion: reviewVersion, Kind: reviewKind, Response: out}, nil
}

func (r *request) concerns() bool {
	return r.Kind.Group == "keda.sh" && (r.Kind.Kind == "ScaledObject" || r.Kind.Kind == "ScaledJob") &&
		r.SubResource == "" && (r.Operation == "CREATE" || r.Operation == "UPDATE")
}

func (h *handler) check(ctx context.Context, r *request, out *response) {
	var object scaledObject
	if err := json.Unmarshal(r.Object, &object); err != nil {
		// KEDA's own schema judges that.
		out.Warnings = []string{"keda-otel-scaler did not understand the object: " + cut(err.Error(), maxLine)}
		return
	}
	var faults []string
	for i, t := range object.Spec.Triggers[:min(len(object.Spec.Triggers), maxTriggers)] {
		if !h.ours(t) || ctx.Err() != nil {
			continue
		}
		found, unread := h.Checker.Check(r.Namespace, t.Metadata)
		for _, f := range found {
			faults = append(faults, fmt.Sprintf("spec.triggers[%d].metadata.%s", i, describe(f, t.Metadata[f.Key])))
		}
		for _, key := range unread {
			if len(out.Warnings) < maxWarnings {
				out.Warnings = append(out.Warnings, fmt.Sprintf("spec.triggers[%d].metadata: nothing reads %s", i, cut(key, maxLine)))
			}
		}
	}
	if len(faults) == 0 {
		return
	}
	out.Allowed = false
	// Invalid, as the API server has it for an object that a schema refuses.
	out.Status = &status{Reason: "Invalid", Code: http.StatusUnprocessableEntity, Message: cut(strings.Join(faults, "\n"), maxMessage)}
}

// ours tells whether KEDA would ask us: by the Service's name, or its first part.
func (h *handler) ours(t trigger) bool {
	if !slices.Contains([]string{"external", "external-push"}, t.Type) {
		return false
	}
	host := t.Metadata["scalerAddress"]
	if _, rest, ok := strings.Cut(host, "///"); ok { // gRPC takes a scheme before the host, too
		host = rest
	}
	host, _, _ = strings.Cut(host, ":")
	host, _, _ = strings.Cut(host, ".")
	return host == h.Service
}

// describe says what is wrong and, of a query that the parser stopped in, where:
// the line, and a caret under the place.
func describe(f *scaler.Fault, value string) string {
	text := cut(f.Err.Error(), maxMessage/4)
	var syntax *query.SyntaxError
	if !errors.As(f.Err, &syntax) {
		return text
	}
	begin := strings.Index(value, syntax.Text)
	if begin < 0 {
		return text
	}
	return text + "\n" + caret(value, begin+syntax.Offset)
}

// caret shows the line of a text that an offset is in, with a caret under it.
func caret(text string, offset int) string {
	offset = min(offset, len(text))
	begin := strings.LastIndexByte(text[:offset], '\n') + 1
	end := len(text)
	if n := strings.IndexByte(text[offset:], '\n'); n >= 0 {
		end = offset + n
	}
	before, after := text[begin:offset], text[offset:end]
	if over := len(before) - maxLine/2; over > 0 {
		before = "..." + strings.ToValidUTF8(before[over:], "")
	}
	after = cut(after, maxLine/2)
	// Tabs are as wide as their reader wants.
	before, after = strings.ReplaceAll(before, "\t", " "), strings.ReplaceAll(after, "\t", " ")
	return "    " + before + after + "\n    " + strings.Repeat(" ", utf8.RuneCountInString(before)) + "^"
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
