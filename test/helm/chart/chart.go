// Package chart renders the product's Helm chart with Helm's own libraries, as
// `helm template` does: nothing here knows what is in the chart.
package chart

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"
)

// Kubernetes is the version that is rendered for if nobody says another. Helm's
// library has one of its own that is long gone.
const Kubernetes = "v1.34.0"

// Release is what is not in the values.
type Release struct{ Name, Namespace, Kubernetes string }

// Rendered is what an installation would apply and print.
type Rendered struct {
	Objects []string // YAML, in the order in which Helm applies them
	Notes   string
}

// Render renders the chart in dir with values, which are YAML. An error is what
// a user would be told.
func Render(dir, values string, release Release) (Rendered, error) {
	c, err := loader.Load(dir)
	if err != nil {
		return Rendered{}, err
	}
	var user map[string]any
	if err := yaml.Unmarshal([]byte(values), &user); err != nil {
		return Rendered{}, fmt.Errorf("values: %w", err)
	}
	version, err := chartutil.ParseKubeVersion(cmp.Or(release.Kubernetes, Kubernetes))
	if err != nil {
		return Rendered{}, err
	}
	capabilities := *chartutil.DefaultCapabilities
	capabilities.KubeVersion = *version
	all, err := chartutil.ToRenderValues(c, user, chartutil.ReleaseOptions{
		Name: release.Name, Namespace: release.Namespace, Revision: 1, IsInstall: true,
	}, &capabilities)
	if err != nil {
		return Rendered{}, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return Rendered{}, err
	}
	var rendered Rendered
	for name, text := range files {
		if path.Base(name) == "NOTES.txt" {
			rendered.Notes = text
			delete(files, name)
		}
	}
	_, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return Rendered{}, err
	}
	// Within a kind Helm leaves the order to chance.
	slices.SortStableFunc(manifests, func(a, b releaseutil.Manifest) int {
		if a.Head.Kind != b.Head.Kind {
			return 0
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, m := range manifests {
		rendered.Objects = append(rendered.Objects, strings.TrimSpace(m.Content)+"\n")
	}
	return rendered, nil
}
