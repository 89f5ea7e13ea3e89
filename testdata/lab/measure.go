package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/load"
	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/scenario"
)

func hostOf(base string) string { return strings.TrimPrefix(base, "http://") }

// idleShare asks Prometheus how much of all cores, 0..1, was idle over the
// plateau, everything that watches included.
func idleShare(ctx context.Context, prometheus string, end time.Time, plateau time.Duration) (float64, error) {
	query := url.Values{
		"query": {fmt.Sprintf(`avg(rate(node_cpu_seconds_total{mode="idle"}[%ds]))`, int(plateau.Seconds())-5)},
		"time":  {strconv.FormatInt(end.Unix(), 10)},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheus+"/api/v1/query?"+query.Encode(), nil)
	if err != nil {
		return 0, fmt.Errorf("ask for idle time: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, fmt.Errorf("ask for idle time: %w", err)
	}
	defer response.Body.Close()
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("decode idle time: %w", err)
	}
	if len(answer.Data.Result) != 1 {
		return 0, errors.New("prometheus has no idle time of the node")
	}
	return strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
}

// healthyLoad returns what clients felt when nothing was wrong on this machine:
// the run at hand, if it is the healthy one, which is then kept for the others.
// Without one there is nothing to compare with, and the result is empty.
func healthyLoad(s scenario.Scenario, now load.Summary) (load.Summary, error) {
	cache, err := means.CacheDir()
	if err != nil {
		return load.Summary{}, err
	}
	path := filepath.Join(cache, "healthy.json")
	if s.Name == scenario.Healthy {
		text, err := json.Marshal(now)
		if err != nil {
			return now, fmt.Errorf("encode healthy load: %w", err)
		}
		return now, os.WriteFile(path, text, 0o644)
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return load.Summary{}, nil
	}
	if err != nil {
		return load.Summary{}, fmt.Errorf("read healthy load: %w", err)
	}
	var kept load.Summary
	if err := json.Unmarshal(text, &kept); err != nil {
		return load.Summary{}, fmt.Errorf("decode healthy load: %w", err)
	}
	return kept, nil
}
