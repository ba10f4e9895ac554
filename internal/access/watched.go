package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxFile is the most that is read of a file, in bytes: a bundle of all public
// authorities is a quarter of it.
const maxFile = 1 << 20

// secondLook is how soon files that can't be used are looked at again, if the
// interval is not shorter.
const secondLook = time.Second

// Files says how files are looked after. Its zero value is usable.
type Files struct {
	Interval   time.Duration         // between two looks at the files (10s)
	Now        func() time.Time      // (time.Now)
	Logger     *slog.Logger          // nil for none
	Registerer prometheus.Registerer // nil for none
}

func (f *Files) defaults() {
	if f.Interval <= 0 {
		f.Interval = 10 * time.Second
	}
	if f.Now == nil {
		f.Now = time.Now
	}
	if f.Logger == nil {
		f.Logger = slog.New(slog.DiscardHandler)
	}
}

// watched is what was last read from files and could be used.
type watched[T any] struct {
	Files
	what  string // for people: whose files these are
	paths []string
	parse func(contents [][]byte, now time.Time) (T, error)

	succeeded, failed prometheus.Counter

	current atomic.Pointer[T]
	trouble atomic.Pointer[string] // why the files are not what is used; nil if they are

	mu      sync.Mutex // guards what follows; held while files are read
	sum     [sha256.Size]byte
	suspect string // what was wrong at the last look
}

// newWatched reads the files for the first time, and fails if they can't be used.
func newWatched[T any](f Files, name, listener, what string, paths []string, parse func([][]byte, time.Time) (T, error)) (*watched[T], error) {
	f.defaults()
	w := &watched[T]{Files: f, what: what, paths: paths, parse: parse}
	contents, err := w.read()
	if err != nil {
		return nil, err
	}
	first, err := parse(contents, w.Now())
	if err != nil {
		return nil, err
	}
	w.current.Store(&first)
	w.sum = sumOf(contents)
	reloads := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name:        "keda_otel_scaler_" + name + "_reloads_total",
		Help:        "Changed files of a listener that took effect (success), or that could not be used, so that what was read before stays (failure).",
		ConstLabels: prometheus.Labels{"listener": listener},
	}, []string{"outcome"})
	w.succeeded, w.failed = reloads.WithLabelValues("success"), reloads.WithLabelValues("failure")
	good := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "keda_otel_scaler_" + name + "_last_reload_successful",
		Help:        "1 if a listener uses what its files hold now, 0 if they can't be used.",
		ConstLabels: prometheus.Labels{"listener": listener},
	}, func() float64 {
		if w.trouble.Load() != nil {
			return 0
		}
		return 1
	})
	return w, register(f.Registerer, reloads, good)
}

func register(to prometheus.Registerer, collectors ...prometheus.Collector) error {
	if to == nil {
		return nil
	}
	for _, c := range collectors {
		if err := to.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// read returns the content of each file, nil where there is none to read.
func (w *watched[T]) read() ([][]byte, error) {
	contents := make([][]byte, len(w.paths))
	for i, path := range w.paths {
		if path == "" {
			continue
		}
		file, err := os.Open(path) //nolint:gosec // the paths are the operator's
		if err != nil {
			return nil, err
		}
		content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
		_ = file.Close() // it was only read
		switch {
		case err != nil:
			return nil, err
		case len(content) > maxFile:
			return nil, fmt.Errorf("%s has more than %d bytes", path, maxFile)
		case len(bytes.TrimSpace(content)) == 0:
			return nil, fmt.Errorf("%s is empty", path)
		}
		contents[i] = content
	}
	return contents, nil
}

// sumOf identifies contents, of which one may be secret.
func sumOf(contents [][]byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, content := range contents {
		_ = binary.Write(h, binary.LittleEndian, int64(len(content))) // a hash takes everything
		_, _ = h.Write(content)
	}
	h.Sum(sum[:0])
	return sum
}

// errUnsettled says that a second look will tell.
var errUnsettled = errors.New("the files have just changed, or are being written")

// check looks at the files once. It returns errUnsettled if they should be
// looked at again soon.
func (w *watched[T]) check() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	contents, err := w.read()
	sum := sumOf(contents)
	if err == nil && sum == w.sum {
		w.suspect = ""
		w.trouble.Store(nil)
		return nil
	}
	var fresh T
	if err == nil {
		// Again and again while it fails: what is not valid yet will be.
		fresh, err = w.parse(contents, w.Now())
	}
	if err == nil {
		w.current.Store(&fresh)
		w.sum, w.suspect = sum, ""
		w.trouble.Store(nil)
		w.succeeded.Inc()
		w.Logger.Info(w.what + " read anew")
		return nil
	}
	reason := err.Error()
	if seen := string(sum[:]) + reason; w.suspect != seen {
		w.suspect = seen
		return errUnsettled
	}
	if told := w.trouble.Load(); told == nil || *told != reason {
		w.trouble.Store(&reason)
		w.failed.Inc()
		w.Logger.Error(w.what+" can't be used as it is now, so what was read before stays", "error", reason)
	}
	return nil
}

// run checks until ctx is done.
func (w *watched[T]) run(ctx context.Context, check func() error) error {
	timer := time.NewTimer(w.Interval)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		next := w.Interval
		if check() != nil {
			next = min(next, secondLook)
		}
		timer.Reset(next)
	}
}

// problem is what Problem of its owners returns.
func (w *watched[T]) problem() string {
	if reason := w.trouble.Load(); reason != nil {
		return w.what + " can't be used as it is now, so what was read before stays: " + *reason
	}
	return ""
}
