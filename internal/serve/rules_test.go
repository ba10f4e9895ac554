package serve

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// TestAlertsAreComplete: each says what it means and what to do, and asks for
// metrics that there are.
func TestAlertsAreComplete(t *testing.T) {
	file, errs := rulefmt.ParseFile(alerts, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	tests, err := os.ReadFile(strings.Replace(alerts, "alerts", "alerts_test", 1))
	require.NoError(t, err)
	types := exported(scrape(t))
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			requireKnown(t, rule.Expr, types)
			require.Contains(t, []string{"critical", "warning"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			require.Contains(t, rule.Annotations["runbook_url"], "docs/TROUBLESHOOTING.md#"+strings.ToLower(rule.Alert), "the anchor is the alert's name")
			require.Regexp(t, "alertname: "+rule.Alert+"\n\\s+exp_alerts:\n\\s+- ", string(tests), "promtool's tests make it fire")
		}
	}
}

// TestDashboard: its panels have places of their own and ask for metrics that
// there are.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../deploy/dashboards/keda-otel-scaler.json")
	require.NoError(t, err)
	var dashboard struct {
		UID, Title    string
		SchemaVersion int
		Panels        []struct {
			ID                       int
			Type, Title, Description string
			GridPos                  struct{ X, Y, W, H int }
			Targets                  []struct{ Expr, RefID string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	require.NotEmpty(t, dashboard.UID)
	types := exported(scrape(t))
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard.Panels {
		require.False(t, ids[p.ID], "panel %d is there twice", p.ID)
		ids[p.ID] = true
		for x := range p.GridPos.W {
			require.Less(t, p.GridPos.X+x, 24, "%s is outside", p.Title)
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				require.Empty(t, taken[at], "%s lies on it", p.Title)
				taken[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		require.NotEmpty(t, p.Description, "%s: say what to look for", p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.NotEmpty(t, target.RefID, p.Title)
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "1m")
			requireKnown(t, regexp.MustCompile(`\$\w+`).ReplaceAllString(expr, "x"), types)
		}
	}
}
