package main

import (
	"os"

	"github.com/prometheus/common/config"

	"github.com/culprit-rca/culprit/collectors"
	"github.com/culprit-rca/culprit/collectors/grafana"
)

// grafanaToken is the environment variable for the token of --grafana, under
// the name that Grafana's own tools read it by; --config holds it elsewhere.
const grafanaToken = "GRAFANA_SERVICE_ACCOUNT_TOKEN"

type grafanaBlock struct {
	URL     string                  `yaml:"url"`
	Headers map[string]string       `yaml:"headers"`
	Tags    []string                `yaml:"tags"` // an annotation must have all of them
	HTTP    config.HTTPClientConfig `yaml:",inline"`
}

// withToken takes the token of the environment where the block names no way to
// log in.
func (g grafanaBlock) withToken() grafanaBlock {
	token := os.Getenv(grafanaToken)
	if h := g.HTTP; token != "" && h.Authorization == nil && h.BasicAuth == nil && h.OAuth2 == nil && h.BearerToken == "" && h.BearerTokenFile == "" {
		g.HTTP.Authorization = &config.Authorization{Type: "Bearer", Credentials: config.Secret(token)}
	}
	return g
}

func (s *sourceFlags) addAnnotations(add func(collectors.Collector, error), progress collectors.Reporter) {
	if g := s.settings.Grafana.withToken(); g.URL != "" {
		add(grafana.New(grafana.Config{URL: g.URL, HTTP: g.HTTP, Headers: g.Headers, Tags: g.Tags, Progress: progress}))
	}
}
