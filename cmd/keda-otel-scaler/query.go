package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
)

const (
	// askTimeout bounds a request that the server does not bound itself.
	askTimeout = time.Minute
	// maxAnswer is the most that is read of an answer, in bytes.
	maxAnswer = 256 << 20
	// points is how many steps a range has if no step was asked for.
	points = 60
)

// ask is a question to a running server.
type ask struct {
	connection
	query, at, output string
	window, step      time.Duration
}

// newQuery is the command that asks a running server.
func newQuery(lookupEnv func(string) (string, bool)) *cobra.Command {
	var a ask
	cmd := &cobra.Command{
		Use:   "query '<promql>'",
		Short: "Ask a running server in PromQL",
		Long: "Ask a running server in PromQL, now or over a range of time.\n\n" +
			byVariable + "\n\n" +
			"Exit codes: 0 answered, even with nothing; 1 refused or not reached.",
		Example: "  keda-otel-scaler query 'sum(vllm:num_requests_running)'\n" +
			"  keda-otel-scaler query --range 5m 'rate(http_requests_total[1m])'\n" +
			"  keda-otel-scaler query -o json --server http://localhost:9090/keda vllm:num_requests_running",
		ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want one query, in quotes, not %d arguments; see %s --help", len(args), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			a.query = args[0]
			return a.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	a.bind(f, lookupEnv, "`URL` of the server; with /keda behind it, it answers as to KEDA's prometheus trigger")
	f.StringVar(&a.at, "time", "", "`time` to ask about, in RFC 3339 or seconds since 1970 (now)")
	f.DurationVar(&a.window, "range", 0, "ask about so much time until then instead")
	f.DurationVar(&a.step, "step", 0, "time between two points of the range (a sixtieth of it, at least 1s)")
	f.StringVarP(&a.output, "output", "o", "table", "`form` of the answer: table, or json as the server sent it")
	complete(cmd, "output", "table\tfor people", "json\tas the server sent it")
	return cmd
}

func (a *ask) run(ctx context.Context, stdout, stderr io.Writer) error {
	server, client, err := a.open()
	if err != nil {
		return err
	}
	endpoint, form, err := a.request(server, time.Now())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	body, err := a.post(ctx, client, endpoint, form)
	if err != nil {
		return err
	}
	if a.output == "json" {
		_, err = fmt.Fprintf(stdout, "%s\n", body)
		return err
	}
	var reply struct {
		Warnings, Infos []string
		Data            struct {
			ResultType model.ValueType
			Result     json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return fmt.Errorf("%s does not answer as Prometheus does: %w", endpoint, err)
	}
	for _, note := range append(reply.Warnings, reply.Infos...) {
		_, _ = fmt.Fprintln(stderr, note)
	}
	return table(stdout, isTerminal(stdout), reply.Data.ResultType, reply.Data.Result)
}

// request is where to send what.
func (a *ask) request(server *url.URL, now time.Time) (endpoint string, form url.Values, err error) {
	switch {
	case a.output != "table" && a.output != "json":
		return "", nil, fmt.Errorf("--output=%s: want table or json, for example --output=json", a.output)
	case a.window < 0 || a.step < 0:
		return "", nil, errors.New("--range and --step: want durations above 0, for example --range=5m --step=5s")
	case a.step > 0 && a.window == 0:
		return "", nil, fmt.Errorf("--step=%s: has no effect without --range, for example --range=5m", a.step)
	}
	form = url.Values{"query": {a.query}}
	if a.window == 0 {
		if a.at != "" {
			form.Set("time", a.at)
		}
		return server.JoinPath("api/v1/query").String(), form, nil
	}
	end := now
	if a.at != "" {
		if end, err = parseTime(a.at); err != nil {
			return "", nil, err
		}
	}
	step := a.step
	if step == 0 {
		step = max(a.window/points, time.Second)
	}
	form.Set("start", seconds(end.Add(-a.window)))
	form.Set("end", seconds(end))
	form.Set("step", strconv.FormatFloat(step.Seconds(), 'f', -1, 64))
	return server.JoinPath("api/v1/query_range").String(), form, nil
}

func parseTime(text string) (time.Time, error) {
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		return time.UnixMilli(int64(s * 1000)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fmt.Errorf("--time=%s: want RFC 3339 or seconds since 1970, for example --time=2026-01-02T15:04:05Z", text)
	}
	return t, nil
}

func seconds(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }

// post returns the body of a good answer. The error of any other is what the
// server said.
func (a *ask) post(ctx context.Context, client *http.Client, endpoint string, form url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := client.Do(request)
	if err != nil {
		return nil, a.failure(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the answer of %s: %w", endpoint, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return body, nil
	case http.StatusUnauthorized:
		return nil, fmt.Errorf("%s wants a token it knows; --token-file says which", endpoint)
	}
	var failure struct{ ErrorType, Error string }
	if json.Unmarshal(body, &failure) == nil && failure.Error != "" {
		return nil, fmt.Errorf("%s: %s", failure.ErrorType, failure.Error)
	}
	return nil, fmt.Errorf("%s answered %s: %.200s", endpoint, response.Status, body)
}

// isTerminal tells whether a person is looking.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
