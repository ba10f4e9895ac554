package serve

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhatIsNoRequest is refused by every HTTP server, and logged by none: who
// reaches a port must not fill a disk.
func TestWhatIsNoRequest(t *testing.T) {
	i := start(t)
	for name, address := range map[string]net.Addr{"otlp": i.OTLPHTTP, "http": i.HTTP, "telemetry": i.Telemetry} {
		for _, tc := range []struct {
			name, text string
			code       int
		}{
			{"not HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc and more than a hello of HTTP/2 has\r\n\r\n", 400},
			{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
			{"an old version", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505},
			{"headers without end", "GET / HTTP/1.1\r\nHost: x\r\nMore: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", 431},
			{"a URL without end", "GET /api/v1/query?query=" + strings.Repeat("1", 80<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
			{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12", 400},
			{"a negative length", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
			{"an unknown coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: brotli\r\n\r\n", 501},
		} {
			conn := dialTCP(t, address, "")
			require.NoError(t, conn.SetDeadline(time.Now().Add(generous)))
			_, _ = fmt.Fprint(conn, tc.text) // the server may have heard enough before its end
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err, "%s: %s", name, tc.name)
			require.NoError(t, response.Body.Close())
			require.NoError(t, conn.Close())
			require.Equal(t, tc.code, response.StatusCode, "%s: %s", name, tc.name)
		}
	}
	code, _ := get(t, i.Telemetry, "/healthz")
	require.Equal(t, http.StatusOK, code)
	require.NotContains(t, i.log.String(), "level=WARN")
	require.NotContains(t, i.log.String(), "level=ERROR")
	_, err := i.wait(t)
	require.NoError(t, err)
}

// TestMethodsOfThePlainEndpoints: they are for reading.
func TestMethodsOfThePlainEndpoints(t *testing.T) {
	i := start(t)
	for path, address := range map[string]net.Addr{
		"/metrics": i.Telemetry, "/healthz": i.Telemetry, "/readyz": i.Telemetry, "/": i.HTTP,
		"/info": i.HTTP, "/memstore/names": i.HTTP, "/memstore/data": i.HTTP,
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address.String()+path, strings.NewReader("x=1"))
		require.NoError(t, err)
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode, path)
	}
	_, err := i.wait(t)
	require.NoError(t, err)
}
