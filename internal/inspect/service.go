package inspect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/keda-otel-scaler/keda-otel-scaler/internal/limit"
	inspectv1 "github.com/keda-otel-scaler/keda-otel-scaler/proto/inspect/v1"
	"github.com/keda-otel-scaler/keda-otel-scaler/scaler"
)

const (
	defaultPage   = 100
	defaultSeries = 20
	most          = 1000 // of either
)

// Scaler is what is asked about ScaledObjects.
type Scaler interface {
	Objects() []scaler.Object
	Remembered(object scaler.Object) (scaler.View, error)
	Explain(ctx context.Context, object scaler.Object, series int) (scaler.View, error)
	Follow(ctx context.Context, object scaler.Object, series int, send func(scaler.View) error) error
}

type service struct {
	scaler  Scaler
	metrics func() map[string]int
	watches limit.Semaphore // of those that are open
}

func (s *service) ListScaledObjects(_ context.Context, req *inspectv1.ListScaledObjectsRequest) (*inspectv1.ListScaledObjectsResponse, error) {
	all := slices.DeleteFunc(s.scaler.Objects(), func(o scaler.Object) bool {
		return req.GetNamespace() != "" && o.Namespace != req.GetNamespace()
	})
	page, next, err := paged(all, req.GetPageSize(), req.GetPageToken(), scaler.Object.String)
	if err != nil {
		return nil, err
	}
	out := &inspectv1.ListScaledObjectsResponse{NextPageToken: next, Total: count(len(all))}
	for _, o := range page {
		remembered, err := s.scaler.Remembered(o)
		if err != nil {
			continue // forgotten meanwhile
		}
		out.ScaledObjects = append(out.ScaledObjects, summary(remembered))
		out.At = timestamppb.New(remembered.At)
	}
	return out, nil
}

func (s *service) GetScaledObject(ctx context.Context, req *inspectv1.GetScaledObjectRequest) (*inspectv1.GetScaledObjectResponse, error) {
	object, series, err := asked(req)
	if err != nil {
		return nil, err
	}
	v, err := s.scaler.Explain(ctx, object, series)
	if err != nil {
		return nil, failure(err)
	}
	return &inspectv1.GetScaledObjectResponse{ScaledObject: view(v)}, nil
}

func (s *service) WatchScaledObject(ctx context.Context, req *inspectv1.WatchScaledObjectRequest, stream *connect.ServerStream[inspectv1.WatchScaledObjectResponse]) error {
	object, series, err := asked(req)
	if err != nil {
		return err
	}
	if !s.watches.TryAcquire() {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("%d watches are open, which is the most", cap(s.watches)))
	}
	defer s.watches.Release()
	err = s.scaler.Follow(ctx, object, series, func(v scaler.View) error {
		defer patience(ctx)()
		return stream.Send(&inspectv1.WatchScaledObjectResponse{ScaledObject: view(v)})
	})
	if err != nil {
		return failure(err)
	}
	return nil
}

func (s *service) ListMetrics(_ context.Context, req *inspectv1.ListMetricsRequest) (*inspectv1.ListMetricsResponse, error) {
	series := s.metrics()
	maps.DeleteFunc(series, func(name string, _ int) bool { return !strings.Contains(name, req.GetContains()) })
	all := slices.Sorted(maps.Keys(series))
	page, next, err := paged(all, req.GetPageSize(), req.GetPageToken(), func(name string) string { return name })
	if err != nil {
		return nil, err
	}
	out := &inspectv1.ListMetricsResponse{NextPageToken: next, Total: count(len(all))}
	for _, name := range page {
		out.Metrics = append(out.Metrics, &inspectv1.Metric{Name: name, Series: count(series[name])})
	}
	return out, nil
}

// asked reads a request about one object.
func asked(req interface {
	GetNamespace() string
	GetName() string
	GetSeriesLimit() int32
}) (o scaler.Object, series int, err error) {
	o = scaler.Object{Namespace: req.GetNamespace(), Name: req.GetName()}
	if o.Name == "" || o.Namespace == "" {
		return o, 0, connect.NewError(connect.CodeInvalidArgument, errors.New(`the request names no ScaledObject; write for example {"namespace": "default", "name": "model"}`))
	}
	series, err = sizeOf("series_limit", req.GetSeriesLimit(), defaultSeries)
	return o, series, err
}

// sizeOf returns how many of a list a request asks for.
func sizeOf(field string, asked int32, otherwise int) (int, error) {
	switch {
	case asked < 0:
		return 0, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is %d; write a number from 1 to %d, or leave it out", field, asked, most))
	case asked == 0:
		return otherwise, nil
	}
	return min(int(asked), most), nil
}

// paged returns a page of what is sorted by key. The token is the last key of
// the page before, so that no page misses what was there all the time.
func paged[T any](all []T, size int32, token string, key func(T) string) (page []T, next string, err error) {
	n, err := sizeOf("page_size", size, defaultPage)
	if err != nil {
		return nil, "", err
	}
	if token != "" {
		from := slices.IndexFunc(all, func(v T) bool { return key(v) > token })
		if from < 0 {
			return nil, "", nil
		}
		all = all[from:]
	}
	if len(all) <= n {
		return all, "", nil
	}
	return all[:n], key(all[n-1]), nil
}

// failure gives an error the code that it has over the wire.
func failure(err error) error {
	code := connect.CodeInternal
	switch {
	case errors.Is(err, scaler.ErrUnknown):
		code = connect.CodeNotFound
	case errors.Is(err, context.Canceled):
		code = connect.CodeCanceled
	case errors.Is(err, context.DeadlineExceeded):
		code = connect.CodeDeadlineExceeded
	case connect.CodeOf(err) != connect.CodeUnknown:
		return err // from sending
	}
	return connect.NewError(code, err)
}
