// Package bundle writes and reads the evidence file: a tar archive under
// zstandard whose parts are open formats. manifest.json comes first and lists
// the rest; spans are OTLP protobuf, everything else is JSON lines, so that
// tar, jq and any OpenTelemetry tool can look inside.
//
// The same bundle gives the same bytes. It never reads the network or a clock,
// and it trusts nothing it reads: every size is bounded after decompression.
package bundle

import (
	"github.com/culprit-rca/culprit/collectors/evidence"
)

// SchemaVersion of the file. A reader refuses what is newer than itself.
const SchemaVersion = 1

// Names of the parts, in their order in the archive. A part without content is
// left out.
const (
	partManifest   = "manifest.json"
	partSpans      = "spans.otlp.pb"
	partWeights    = "weights.jsonl"
	partSeries     = "series.jsonl"
	partHistograms = "histograms.jsonl"
	partPostgres   = "postgres.jsonl"
	partLoads      = "loads.jsonl"
	partEvents     = "events.jsonl"
)

// redaction says what collectors did to what they read before it came here.
var redaction = []string{
	"SQL keeps its shape, literals are removed at collection",
	"span attributes outside a fixed list are dropped at collection",
	"addresses of sources carry no user, password or query",
}

type manifest struct {
	SchemaVersion int                   `json:"schema_version"`
	Culprit       string                `json:"culprit"`
	Window        evidence.Window       `json:"window"`
	Baseline      *evidence.Window      `json:"baseline,omitempty"`
	BaselineRun   *evidence.BaselineRun `json:"baseline_run,omitempty"`
	Prices        *evidence.Prices      `json:"prices,omitempty"`
	Sources       []evidence.Source     `json:"sources"`
	Gaps          []evidence.Gap        `json:"gaps"`
	Redaction     []string              `json:"redaction"`
	Parts         []part                `json:"parts"`
}

// part is one file of the archive, as the manifest announces it.
type part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	Items  int    `json:"items"`
	SHA256 string `json:"sha256"`
}

// Limits bound what Read accepts, counted after decompression.
type Limits struct {
	Bytes int64 // of all parts together
	Line  int   // of one JSON line
}

// DefaultLimits hold the largest bundle that culprit writes by default
// (150,000 spans, 10,000 series) several times over.
var DefaultLimits = Limits{Bytes: 512 << 20, Line: 64 << 20}
