package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
)

const (
	// explainTimeout bounds a question; the server bounds itself below that.
	explainTimeout = 20 * time.Second
	// maxListed is how many ScaledObjects are listed if no page tells.
	maxListed = 10_000
)

// explain is a question why a ScaledObject is scaled as it is.
type explain struct {
	connection
	output string
	series int32
}

// newExplain is the command that asks a running server why.
func newExplain(lookupEnv func(string) (string, bool)) *cobra.Command {
	var e explain
	cmd := &cobra.Command{
		Use:   "explain [namespace/name]",
		Short: "Tell why a ScaledObject was, or was not, scaled",
		Long: "Explain why a ScaledObject was, or was not, scaled: what the scaler answers KEDA and what that\n" +
			"is made of. Without a name, list the ScaledObjects that KEDA has asked about.\n\n" +
			byVariable + "\n\n" +
			"Exit codes: 0 explained; 1 KEDA has not asked about it, or the server was not reached.",
		Example: "  keda-otel-scaler explain\n" +
			"  keda-otel-scaler explain default/huggingface-fbopt-predictor\n" +
			"  kubectl port-forward -n keda svc/keda-otel-scaler 9090 & keda-otel-scaler explain -o json default/chat",
		ValidArgsFunction: cobra.NoFileCompletions,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("want one ScaledObject, not %d arguments; see %s --help", len(args), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), strings.Join(args, ""))
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	e.bind(f, lookupEnv, "`URL` of the server")
	f.Int32Var(&e.series, "series", 20, "most series to show for each selector")
	f.StringVarP(&e.output, "output", "o", "text", "`form` of the answer: text, or json as the API has it")
	complete(cmd, "output", "text\tfor people", "json\tas the API has it")
	return cmd
}

func (e *explain) run(ctx context.Context, stdout, stderr io.Writer, object string) error {
	_, client, err := e.open()
	namespace, name, slash := strings.Cut(object, "/")
	switch {
	case err != nil:
		return err
	case e.output != "text" && e.output != "json":
		return fmt.Errorf("--output=%s: want text or json, for example --output=json", e.output)
	case e.series < 1:
		return fmt.Errorf("--series=%d: want a number above 0, for example --series=20", e.series)
	case object != "" && (!slash || namespace == "" || name == ""):
		return fmt.Errorf("%q: want namespace/name, for example default/huggingface-fbopt-predictor", object)
	}
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	api := inspectv1.NewInspectServiceClient(client, strings.TrimSuffix(e.server, "/"))
	if object == "" {
		list, err := listed(ctx, api)
		if err != nil {
			return e.blame(err)
		}
		return e.print(stdout, list, func(w io.Writer) { writeList(w, list) })
	}
	response, err := api.GetScaledObject(ctx, &inspectv1.GetScaledObjectRequest{Namespace: namespace, Name: name, SeriesLimit: e.series})
	if connect.CodeOf(err) == connect.CodeNotFound {
		if list, err := listed(ctx, api); err == nil && len(list.GetScaledObjects()) > 0 {
			_, _ = fmt.Fprintln(stderr, "KEDA has asked about:")
			for _, o := range list.GetScaledObjects() {
				_, _ = fmt.Fprintf(stderr, "  %s/%s\n", o.GetNamespace(), o.GetName())
			}
		}
		return fmt.Errorf("KEDA has not asked about %s since the server started: is there a ScaledObject of this name with an external trigger to it?", object)
	}
	if err != nil {
		return e.blame(err)
	}
	return e.print(stdout, response, func(w io.Writer) { writeObject(w, response.GetScaledObject()) })
}

// listed returns the pages as one.
func listed(ctx context.Context, client inspectv1.InspectServiceClient) (*inspectv1.ListScaledObjectsResponse, error) {
	all := &inspectv1.ListScaledObjectsResponse{}
	for {
		page, err := client.ListScaledObjects(ctx, &inspectv1.ListScaledObjectsRequest{PageSize: 1000, PageToken: all.GetNextPageToken()})
		if err != nil {
			return nil, err
		}
		all.ScaledObjects = append(all.ScaledObjects, page.GetScaledObjects()...)
		all.NextPageToken, all.Total, all.At = page.GetNextPageToken(), page.GetTotal(), page.GetAt()
		if all.GetNextPageToken() == "" || len(all.GetScaledObjects()) >= maxListed {
			return all, nil
		}
	}
}

func (e *explain) print(stdout io.Writer, message proto.Message, text func(io.Writer)) error {
	if e.output == "json" {
		body, err := protojson.Marshal(message)
		if err == nil {
			_, err = fmt.Fprintf(stdout, "%s\n", body)
		}
		return err
	}
	text(stdout)
	return nil
}

func (e *explain) blame(err error) error {
	var failed *connect.Error
	switch {
	case errors.As(err, &failed) && failed.Code() == connect.CodeUnimplemented:
		return fmt.Errorf("%s does not serve the inspect API: %w; --server says where to ask", e.server, err)
	case errors.As(err, &failed) && failed.Code() == connect.CodeUnauthenticated:
		return fmt.Errorf("%s wants a token it knows; --token-file says which", e.server)
	case errors.As(err, &failed) && (failed.Code() == connect.CodeUnavailable || !connect.IsWireError(err) && !errors.Is(err, context.Canceled)):
		return e.failure(err) // a connection that breaks is unknown to connect, or "canceled"
	}
	return err
}
