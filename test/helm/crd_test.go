package helm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// definitions are the modules in which projects publish the CRDs of what we
// render: the schemas that a cluster would check it by, with no code to compile.
var definitions = []struct{ module, files string }{
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/*.yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/keda.sh_*.yaml"},
	{"github.com/open-telemetry/opentelemetry-operator@v0.113.0", "config/crd/bases/*.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/*.yaml"},
}

var schemas = sync.OnceValues(func() (map[string]*apiextensions.JSONSchemaProps, error) {
	all := map[string]*apiextensions.JSONSchemaProps{}
	for _, d := range definitions {
		output, err := exec.Command("go", "mod", "download", "-json", d.module).Output()
		var module struct{ Dir, Error string }
		if decodeErr := json.Unmarshal(output, &module); decodeErr != nil || module.Dir == "" {
			return nil, fmt.Errorf("go mod download %s: %w: %s", d.module, err, module.Error)
		}
		files, err := filepath.Glob(filepath.Join(module.Dir, d.files))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("%s has no %s: %w", d.module, d.files, err)
		}
		for _, file := range files {
			if err := addSchemas(file, all); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return all, nil
})

// addSchemas adds those of a file, which may hold other things, too.
func addSchemas(file string, all map[string]*apiextensions.JSONSchemaProps) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for document := range bytes.SplitSeq(text, []byte("\n---")) {
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.Unmarshal(document, &crd); err != nil {
			return err
		}
		if crd.Kind != "CustomResourceDefinition" {
			continue
		}
		for _, version := range crd.Spec.Versions {
			props := &apiextensions.JSONSchemaProps{}
			if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, props, nil); err != nil {
				return err
			}
			all[crd.Spec.Group+"/"+version.Name+" "+crd.Spec.Names.Kind] = props
		}
	}
	return nil
}

// customResource is what an API server would have against object.
func customResource(t *testing.T, apiVersion, kind, object string) error {
	t.Helper()
	all, err := schemas()
	require.NoError(t, err)
	props, ok := all[apiVersion+" "+kind]
	require.True(t, ok, "nobody defines %s %s: add the module to definitions", apiVersion, kind)
	var content map[string]any
	if err := yaml.UnmarshalStrict([]byte(object), &content); err != nil {
		return err
	}
	structural, err := schema.NewStructural(props)
	require.NoError(t, err)
	defaulting.Default(content, structural) // as the server does before it looks
	validator, _, err := validation.NewSchemaValidator(props)
	require.NoError(t, err)
	var faults []string
	for _, fault := range validation.ValidateCustomResource(nil, content, validator) {
		faults = append(faults, fault.Error())
	}
	for _, path := range pruning.PruneWithOptions(content, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		faults = append(faults, "unknown field "+path)
	}
	if faults != nil {
		return fmt.Errorf("%s %s: %s", apiVersion, kind, strings.Join(faults, "; "))
	}
	return nil
}
