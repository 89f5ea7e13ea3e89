package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func hostOf(base string) string { return strings.TrimPrefix(base, "http://") }

// cost of the plateau.
type cost struct {
	Idle float64 // share of all cores, 0..1, whoever used the rest
	Lab  float64 // cores that the lab itself used, watchers included, the load generator not; 0 where no cgroup tells
	Load float64 // cores that the load command used
}

// measure asks Prometheus what the plateau that ended at end has cost.
func measure(ctx context.Context, prometheus string, end time.Time, plateau time.Duration) (cost, error) {
	span := int(plateau.Seconds()) - 5 // the end of the load, when requests run out, is left out
	idle, err := ask(ctx, prometheus, fmt.Sprintf(`avg(rate(node_cpu_seconds_total{mode="idle"}[%ds]))`, span), end)
	if err != nil {
		return cost{}, fmt.Errorf("measure idle time: %w", err)
	}
	lab, err := ask(ctx, prometheus, fmt.Sprintf(`sum(rate(container_cpu_usage_seconds_total{name!=""}[%ds])) or vector(0)`, span), end)
	if err != nil {
		return cost{}, fmt.Errorf("measure cpu of the lab: %w", err)
	}
	return cost{Idle: idle, Lab: lab}, nil
}

// ask evaluates a query that has one number as its answer.
func ask(ctx context.Context, prometheus, query string, at time.Time) (float64, error) {
	values := url.Values{"query": {query}, "time": {strconv.FormatInt(at.Unix(), 10)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, prometheus+"/api/v1/query?"+values.Encode(), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
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
		return 0, fmt.Errorf("decode answer of prometheus: %w", err)
	}
	if len(answer.Data.Result) != 1 {
		return 0, fmt.Errorf("prometheus has %d answers, not one", len(answer.Data.Result))
	}
	return strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
}

// others is how many cores programs outside of the lab used. They make every
// latency of the run doubtful. 0 where no cgroup tells what the lab used.
func (c cost) others() float64 {
	if c.Lab == 0 {
		return 0
	}
	return max(0, float64(runtime.NumCPU())*(1-c.Idle)-c.Lab-c.Load)
}

// disturbed is the share of a core that others may use before a run counts as
// disturbed: about what an idle desktop takes.
const disturbed = 0.3
