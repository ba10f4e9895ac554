package stage

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/e2e/binary"
)

// The InferenceServices of the user's page, in its order.
const (
	PageCPU = iota
	PagePrometheus
	PageOpenTelemetry
	pageServices
)

// Page returns an InferenceService of the user's page, to the letter.
func Page(example int) (string, error) {
	root, err := binary.Root()
	if err != nil {
		return "", err
	}
	content, err := os.ReadFile(filepath.Join(root, "testdata", "kserve-keda-autoscaling.md"))
	if err != nil {
		return "", err
	}
	services := Services(string(content))
	if len(services) != pageServices {
		return "", fmt.Errorf("the page has %d InferenceServices instead of %d", len(services), pageServices)
	}
	return services[example], nil
}

// Services returns the text of every InferenceService in a page of Markdown.
func Services(page string) (services []string) {
	for block := range strings.SplitSeq(page, "\n```yaml\n") {
		text, _, fenced := strings.Cut(block, "\n```")
		if fenced && strings.HasPrefix(text, "apiVersion:") && strings.Contains(text, "InferenceService") {
			services = append(services, text+"\n")
		}
	}
	return services
}
