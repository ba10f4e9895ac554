package tracing

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRarely(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	r := rarely{every: time.Minute, now: func() time.Time { return at }}
	require.True(t, r.allows())
	at = at.Add(time.Minute - time.Nanosecond)
	require.False(t, r.allows())
	at = at.Add(time.Nanosecond)
	require.True(t, r.allows())
	require.False(t, r.allows())
}
