package timeline

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var line = Line{
	Title: "play 3: <page>",
	Unit:  "requests in flight",
	Samples: []Sample{
		{At: 0, Load: 0, Value: math.NaN(), Desired: 1, Replicas: 1, Ready: 1},
		{At: time.Second, Load: 9, Value: math.NaN(), Desired: 1, Replicas: 1, Ready: 1},
		{At: 2 * time.Second, Load: 9, Value: 9, Desired: 3, Replicas: 1, Ready: 1},
		{At: 3 * time.Second, Load: 9, Value: 9, Desired: 3, Replicas: 3, Ready: 1},
		{At: 4 * time.Second, Load: 9, Value: 9, Desired: 3, Replicas: 3, Ready: 1},
	},
	Marks: []Mark{{At: time.Second, Text: "load 9"}, {At: 5 * time.Second, Text: "the end"}},
}

func TestTextHasARowForEveryChange(t *testing.T) {
	require.Equal(t, `play 3: <page>
 seconds     load    value  desired  replicas  ready
     0.0        0        -        1         1      1
     1.0 -- load 9
     1.0        9        -        1         1      1
     2.0        9        9        3         1      1
     3.0        9        9        3         3      1
     5.0 -- the end
`, line.String())
}

func TestPictureIsWellFormedAndBreaksWhereThereWasNoAnswer(t *testing.T) {
	svg := string(line.SVG())
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		_, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
	}
	require.Contains(t, svg, "play 3: &lt;page&gt;")
	require.Contains(t, svg, `<path class="value" d="M448.0 `, "the first answer is half way")
	require.NotContains(t, svg, "NaN")
}
