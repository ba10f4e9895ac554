package helm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/strvals"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/helm/chart"
)

const root = "../../"

// shell is one in the repository's root, with the files that earlier commands
// wrote. What asks a cluster meets the chart as it is by default.
type shell struct{ files map[string]string }

var (
	heredoc  = regexp.MustCompile(`(?ms)^cat > (\S+) <<'([A-Z]+)'\n(.*?)^([A-Z]+)\n`)
	redirect = regexp.MustCompile(` > (\S+)$`)
	word     = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)
	quoted   = regexp.MustCompile(`'([^']*)'|"([^"]*)"`)
)

// run goes through a block.
func (s *shell) run(t *testing.T, block string) {
	t.Helper()
	block = heredoc.ReplaceAllStringFunc(block, func(text string) string {
		m := heredoc.FindStringSubmatch(text)
		require.Equal(t, m[2], m[4], "the end of %s", m[1])
		s.files[m[1]] = m[3]
		return ""
	})
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		if line = strings.TrimSpace(line); line != "" {
			require.NoError(t, s.command(t, line), line)
		}
	}
}

// words are a line's, up to its comment, with quotes taken off.
func words(line string) (all []string) {
	for _, w := range word.FindAllString(line, -1) {
		if strings.HasPrefix(w, "#") {
			break
		}
		all = append(all, quoted.ReplaceAllString(w, "$1$2"))
	}
	return all
}

func (s *shell) command(t *testing.T, line string) error {
	t.Helper()
	output := ""
	if m := redirect.FindStringSubmatch(line); m != nil {
		output, line = m[1], strings.TrimSuffix(line, m[0])
	}
	args := words(line)
	switch name, args := args[0], args[1:]; name {
	case "helm":
		return s.helm(t, args, output)
	case "kubectl":
		return s.kubectl(t, args)
	case "make":
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(args[0]) + `:`).MatchString(read(t, root+"Makefile")) {
			return fmt.Errorf("make has no target %s", args[0])
		}
		return nil
	case "go":
		module, version, _ := strings.Cut(args[1], "@")
		if !strings.Contains(read(t, root+"deploy/image/go.mod"), strings.TrimSuffix(module, "/cmd/crane")+" "+version+"\n") {
			return fmt.Errorf("deploy/image has another %s than %s", module, version)
		}
		return nil
	case "docker", "kind":
		return nil // of machines that have them
	default:
		return fmt.Errorf("nothing here knows how to try %s", name)
	}
}

func (s *shell) read(file string) (string, error) {
	if text, ok := s.files[file]; ok {
		return text, nil
	}
	text, err := os.ReadFile(root + file)
	return string(text), err
}

// helm renders, and holds what comes out to its kinds and to the program.
func (s *shell) helm(t *testing.T, args []string, output string) error {
	t.Helper()
	flags := pflag.NewFlagSet("helm", pflag.ContinueOnError)
	namespace := flags.StringP("namespace", "n", "default", "")
	set := flags.StringArray("set", nil, "")
	file := flags.StringP("values", "f", "", "")
	flags.Bool("install", false, "")
	flags.Bool("wait", false, "")
	flags.String("output", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch flags.Arg(0) {
	case "uninstall":
		return nil
	case "get":
		s.files[output] = read(t, "testdata/otel-add-on.yaml") // there is no other's release to ask
		return nil
	case "upgrade", "template":
	default:
		return fmt.Errorf("nothing here knows helm %s", flags.Arg(0))
	}
	values := map[string]any{}
	if *file != "" {
		text, err := s.read(*file)
		if err != nil {
			return err
		}
		if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
			return err
		}
	}
	for _, one := range *set {
		if err := strvals.ParseInto(one, values); err != nil {
			return err
		}
	}
	text, err := yaml.Marshal(values)
	if err != nil {
		return err
	}
	rendered, err := chart.Render(root+flags.Arg(2), string(text), chart.Release{Name: flags.Arg(1), Namespace: *namespace})
	if err != nil {
		return err
	}
	for _, object := range rendered.Objects {
		checkObject(t, object)
	}
	require.NotEmpty(t, settings(t, deployment(t, string(text)).Spec.Template.Spec.Containers[0].Args))
	return nil
}

func (s *shell) kubectl(t *testing.T, args []string) error {
	t.Helper()
	flags := pflag.NewFlagSet("kubectl", pflag.ContinueOnError)
	namespace := flags.StringP("namespace", "n", "default", "")
	file := flags.StringP("filename", "f", "", "")
	raw := flags.String("raw", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch verb := flags.Arg(0); {
	case (verb == "apply" || verb == "delete") && *file != "":
		text, err := s.read(*file)
		if err != nil {
			return err
		}
		for _, document := range documents(text) {
			if err := objectFault(t, document); err != nil && strings.Contains(document, "kind:") {
				return err
			}
		}
		return nil
	case verb == "get" && *raw != "":
		return served(t, *raw)
	case verb == "rollout" && slices.Contains([]string{"status", "restart"}, flags.Arg(1)):
		return isDeployment(t, *namespace, flags.Arg(2))
	case verb == "set" && flags.Arg(1) == "image":
		container, _, _ := strings.Cut(flags.Arg(3), "=")
		if own := deployment(t, "").Spec.Template.Spec.Containers[0].Name; container != own {
			return fmt.Errorf("there is no container %s, but %s", container, own)
		}
		return isDeployment(t, *namespace, flags.Arg(2))
	case verb == "exec":
		if err := isDeployment(t, *namespace, flags.Arg(1)); err != nil {
			return err
		}
		return programTakes(t, flags.Args()[2:])
	default:
		return fmt.Errorf("nothing here knows kubectl %s", verb)
	}
}

// isDeployment tells whether there is such a one in a namespace.
func isDeployment(t *testing.T, namespace, name string) error {
	t.Helper()
	own := object[appsv1.Deployment](t, "", "Deployment")
	if "deployment/"+own.Name != name || own.Namespace != namespace {
		return fmt.Errorf("there is no %s in %s", name, namespace)
	}
	return nil
}

// served tells whether the Service has what the API server would ask it for.
func served(t *testing.T, path string) error {
	t.Helper()
	service := object[corev1.Service](t, "", "Service")
	for _, port := range service.Spec.Ports {
		if path == fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%s/proxy/readyz", service.Namespace, service.Name, port.Name) {
			return nil
		}
	}
	return fmt.Errorf("nothing serves %s", path)
}

// programTakes runs the program's command, up to where it would begin to ask.
func programTakes(t *testing.T, args []string) error {
	t.Helper()
	program := filepath.Base(args[0])
	command := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"run", "./cmd" + args[0]}, args[1:], []string{"--help"})...)
	command.Dir = root
	output, err := command.CombinedOutput()
	if usage := program + " " + args[1] + " "; err != nil || !strings.Contains(string(output), usage) {
		return fmt.Errorf("want %q in what %s --help says: %s", usage, strings.Join(args, " "), output)
	}
	return nil
}
