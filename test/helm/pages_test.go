package helm

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pages are the documents about installing, of which every block is tried.
var pages = []string{"../../docs/INSTALL.md", "../../docs/MIGRATION.md", chartDir + "/README.md"}

var fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```")

// TestPages has the YAML valid, and goes through the commands with a shell that
// knows what a cluster would say to them.
func TestPages(t *testing.T) {
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			s := &shell{files: map[string]string{}}
			found := map[string]int{}
			for _, m := range fenced.FindAllStringSubmatch(read(t, page), -1) {
				found[m[1]]++
				switch m[1] {
				case "yaml":
					checkObject(t, m[2])
				case "sh":
					s.run(t, m[2])
				default:
					require.Fail(t, "a block is neither yaml nor sh, so nothing tries it", m[0])
				}
			}
			require.NotZero(t, found["sh"])
		})
	}
}

// TestFilesThatPagesLinkTo are there.
func TestFilesThatPagesLinkTo(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, page := range pages {
		folder := page[:strings.LastIndex(page, "/")+1]
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			require.NoError(t, exec.Command("test", "-e", folder+m[1]).Run(), "%s: %s", page, m[1])
		}
	}
}

// TestShell knows that the test of the pages can fail.
func TestShell(t *testing.T) {
	require.Equal(t, []string{"a", "b c", "--d=e f", "$(g)"}, words(`a 'b c' --d='e f' "$(g)" # h`))
	s := &shell{files: map[string]string{"bad.yaml": "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {port: 1}}"}}
	for command, want := range map[string]string{
		"helm upgrade --install x deploy/helm/keda-otel-scaler --namespace keda --set image.repo=a": "repo",
		"helm upgrade x deploy/helm/keda-otel-scaler --wate":                                        "unknown flag",
		"helm upgrade x deploy/helm/keda-otel-scaler --values absent.yaml":                          "absent.yaml",
		"kubectl apply -f bad.yaml":                                                                  "spec.port",
		"kubectl --namespace keda rollout status deployment/other":                                   "deployment/other",
		"kubectl --namespace other rollout status deployment/keda-otel-scaler":                       "other",
		"kubectl get --raw /api/v1/namespaces/keda/services/keda-otel-scaler:admission/proxy/readyz": "admission",
		"kubectl --namespace keda exec deployment/keda-otel-scaler -- /keda-otel-scaler explan":      "explan",
		"kubectl --namespace keda exec deployment/keda-otel-scaler -- /keda-otel-scaler query --at":  "--at",
		"kubectl --namespace keda set image deployment/keda-otel-scaler scaler=a":                    "scaler",
		"make imagine":          "imagine",
		"curl http://localhost": "curl",
	} {
		require.ErrorContains(t, s.command(t, command), want, command)
	}
}
