// Command manifests renders the chart as it is by default, for those without
// Helm.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/helm/chart"
)

const header = "# The chart as it is by default, rendered by `make manifests`. Apply it where KEDA is.\n"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "want the chart and the file to write, for example: go run ./manifests ../../deploy/helm/keda-otel-scaler ../../deploy/manifests/keda-otel-scaler.yaml")
		os.Exit(2)
	}
	if err := write(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func write(dir, file string) error {
	rendered, err := chart.Render(dir, "", chart.Release{Name: "keda-otel-scaler", Namespace: "keda"})
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString(header)
	for _, object := range rendered.Objects {
		out.WriteString("---\n")
		for line := range strings.Lines(object) {
			// Nobody's release: Helm's own labels would be untrue.
			if !strings.Contains(line, "helm.sh/chart:") && !strings.Contains(line, "managed-by: Helm") {
				out.WriteString(line)
			}
		}
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}
