package main

import (
	"bufio"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"github.com/keda-otel-scaler/keda-otel-scaler/test/bench/report"
)

// machine states what a figure depends on besides the code.
func machine(ctx context.Context, root, binary string) ([]report.Fact, error) {
	ours, err := buildinfo.ReadFile(binary)
	if err != nil {
		return nil, fmt.Errorf("reading what %s was built with: %w", binary, err)
	}
	facts := []report.Fact{
		{Name: "CPU", Text: field("/proc/cpuinfo", "model name")},
		{Name: "cores", Text: fmt.Sprint(runtime.NumCPU())},
		{Name: "memory", Text: field("/proc/meminfo", "MemTotal")},
		{Name: "kernel", Text: line("/proc/sys/kernel/osrelease")},
		{Name: "load average before", Text: loadAverage()}, // of others: a busy machine's latencies are theirs
		{Name: "Go", Text: ours.GoVersion + ", " + runtime.GOOS + "/" + runtime.GOARCH},
		{Name: "settings", Text: product + "'s defaults, but for free ports, --warm-up=0s, --profiling and what a section says; the servers' environment is empty"},
		{Name: "commit", Text: commit(ctx, root)},
	}
	for _, module := range []string{"google.golang.org/grpc", "go.opentelemetry.io/collector/pdata"} {
		facts = append(facts, report.Fact{Name: module, Text: versions(ours, module)})
	}
	return facts, nil
}

// commit asks git, since the environment may keep the go command from doing so.
func commit(ctx context.Context, root string) string {
	git := func(args ...string) (string, error) {
		answer, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		return strings.TrimSpace(string(answer)), err
	}
	head, err := git("rev-parse", "HEAD")
	if err != nil {
		return "unknown"
	}
	if changes, err := git("status", "--porcelain"); err != nil || changes != "" {
		head += ", and changes that are in no commit"
	}
	return head
}

// versions tells a module's version in the product, and in the reference servers
// where it differs: then the ratio compares that, too.
func versions(ours *buildinfo.BuildInfo, module string) string {
	version := moduleVersion(ours, module)
	if here, err := buildinfo.ReadFile("/proc/self/exe"); err == nil {
		if reference := moduleVersion(here, module); reference != version {
			version += "; the reference servers have " + reference
		}
	}
	return version
}

func moduleVersion(info *buildinfo.BuildInfo, path string) string {
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "none"
}

// field returns the first value of that key in one of /proc's lists.
func field(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// loadAverage returns the kernel's three: of the last minute, five and fifteen.
func loadAverage() string {
	fields := strings.Fields(line("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// line returns the content of one of /proc's files of one line.
func line(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(content))
}
