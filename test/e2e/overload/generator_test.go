package overload

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

const exportMethod = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"

// load is what a generator is told to do, as JSON in its environment.
type load struct {
	Address     string
	Connections int
	Pods        int     // in each request
	PerSecond   float64 // requests in all; 0 is as many as come through
	InFlight    int     // of each connection
	Packed      bool    // gzip
	Bomb        bool    // a new value of a label with every point, a million a minute, over one connection
	Calm        bool    // the same of a thousand values
	For         time.Duration
}

// outcome is what a generator saw.
type outcome struct {
	Points, Accepted, Refused, Other, Late int64
	WithoutRetry                           int64
	Errors                                 map[string]int64
}

// each returns how many a second n are.
func (outcome) each(n int64, l load) float64 { return float64(n) / l.For.Seconds() }

const loadVariable = "OVERLOAD_GENERATOR"

// rawCodec sends bytes as they are.
type rawCodec struct{ encoding.CodecV2 }

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

const magic = 0x1122334455667788

// request is one sender's, with the places of its points' times.
type request struct {
	bytes []byte
	times []int
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func newRequest(sender, pods int) (*request, error) {
	md := &metrics.MetricsData{}
	for p := range pods {
		sm := &metrics.ScopeMetrics{}
		for m := range 20 {
			sm.Metrics = append(sm.Metrics, &metrics.Metric{Name: fmt.Sprintf("vllm:metric_%02d", m), Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{{
				Attributes:   []*common.KeyValue{text("namespace", "team"), text("deployment", fmt.Sprintf("model-%d", sender)), text("pod", fmt.Sprintf("model-%d-%d", sender, p))},
				TimeUnixNano: magic,
				Value:        &metrics.NumberDataPoint_AsDouble{AsDouble: float64(m + 1)},
			}}}}})
		}
		md.ResourceMetrics = append(md.ResourceMetrics, &metrics.ResourceMetrics{
			Resource:     &resource.Resource{Attributes: []*common.KeyValue{text("service.name", "otel-collector")}},
			ScopeMetrics: []*metrics.ScopeMetrics{sm},
		})
	}
	b, err := proto.Marshal(md) // an export request has the same one field
	if err != nil {
		return nil, err
	}
	r := &request{bytes: b}
	pattern := binary.LittleEndian.AppendUint64(nil, magic)
	for at := 0; ; {
		i := bytes.Index(b[at:], pattern)
		if i < 0 {
			return r, nil
		}
		r.times = append(r.times, at+i)
		at += i + 8
	}
}

func (r *request) at(t time.Time) []byte {
	b := bytes.Clone(r.bytes)
	for _, i := range r.times {
		binary.LittleEndian.PutUint64(b[i:], uint64(t.UnixNano()))
	}
	return b
}

// packed sends what is packed already: a generator that packs each request can't
// keep a server of as many cores busy.
type packed struct{}

func (packed) Name() string                                 { return "gzip" }
func (packed) Compress(w io.Writer) (io.WriteCloser, error) { return unclosed{w}, nil }
func (packed) Decompress(r io.Reader) (io.Reader, error)    { return gzip.NewReader(r) }

type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// repack is how long a packed request is sent again: its times grow old.
const repack = 5 * time.Second

// packer is a connection's request, packed lately.
type packer struct {
	*request
	mu    sync.Mutex
	bytes []byte
	at    time.Time
}

func (p *packer) next() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.at) > repack {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		_, _ = z.Write(p.request.at(now))
		_ = z.Close()
		p.bytes, p.at = b.Bytes(), now
	}
	return p.bytes
}

func generate(l load) (outcome, error) {
	if l.Packed {
		encoding.RegisterCompressor(packed{})
	}
	var o outcome
	var mu sync.Mutex
	o.Errors = map[string]int64{}
	ctx, cancel := context.WithTimeout(context.Background(), l.For)
	defer cancel()
	if l.Bomb || l.Calm {
		conn, err := grpc.NewClient(l.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return o, err
		}
		defer conn.Close()
		o.Points, err = bomb(ctx, conn, l.Calm)
		return o, err
	}
	var working sync.WaitGroup
	for c := range l.Connections {
		conn, err := grpc.NewClient(l.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return o, err
		}
		defer conn.Close()
		r, err := newRequest(c, l.Pods)
		if err != nil {
			return o, err
		}
		var options []grpc.CallOption
		p := &packer{request: r}
		next := func() []byte { return r.at(time.Now()) }
		if l.Packed {
			options, next = append(options, grpc.UseCompressor("gzip")), p.next
		}
		due := make(chan struct{}, l.InFlight)
		working.Go(func() {
			defer close(due)
			if l.PerSecond == 0 {
				for ctx.Err() == nil {
					select {
					case due <- struct{}{}:
					case <-ctx.Done():
					}
				}
				return
			}
			every := time.Duration(float64(time.Second) * float64(l.Connections) / l.PerSecond)
			next := time.Now().Add(every * time.Duration(c) / time.Duration(l.Connections))
			for ctx.Err() == nil {
				select {
				case <-time.After(time.Until(next)):
				case <-ctx.Done():
					return
				}
				next = next.Add(every)
				select {
				case due <- struct{}{}:
				default:
					atomic.AddInt64(&o.Late, 1)
				}
			}
		})
		for range l.InFlight {
			working.Go(func() {
				for range due {
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
					err := export(ctx, conn, next(), options...)
					cancel()
					mu.Lock()
					s := status.Convert(err)
					switch s.Code() {
					case codes.OK:
						o.Accepted++
						o.Points += int64(len(r.times))
					case codes.ResourceExhausted:
						o.Refused++
						if !hasRetry(s) {
							o.WithoutRetry++
						}
					default:
						o.Other++
						o.Errors[s.String()]++
					}
					mu.Unlock()
				}
			})
		}
	}
	working.Wait()
	return o, nil
}

// export sends the bytes of a request.
func export(ctx context.Context, conn *grpc.ClientConn, b []byte, options ...grpc.CallOption) error {
	return conn.Invoke(ctx, exportMethod, b, new([]byte), append(options, grpc.ForceCodecV2(rawCodec{}))...)
}

func hasRetry(s *status.Status) bool {
	for _, d := range s.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok && r.GetRetryDelay().AsDuration() > 0 {
			return true
		}
	}
	return false
}

func TestMain(m *testing.M) {
	flag.Parse()
	if text := os.Getenv(loadVariable); text != "" {
		var l load
		lowestPriority()
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			panic(err)
		}
		if l.Bomb || l.Calm {
			if err := onlyWhenIdle(); err != nil {
				panic(err)
			}
		}
		o, err := generate(l)
		if err != nil {
			panic(err)
		}
		_ = json.NewEncoder(os.Stdout).Encode(o)
		return
	}
	os.Exit(m.Run())
}
