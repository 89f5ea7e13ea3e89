// Package settings is what a process of the shop is told when it starts: its
// addresses, and the choices that a scenario may make badly. It is shared by
// the shop, which obeys it, and the lab, which writes it; it never decides
// anything itself.
package settings

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Process is the configuration of one process of the shop.
type Process struct {
	Service  string            `json:"service"`            // gateway, catalog, orders or payments
	Listen   string            `json:"listen"`             // host:port
	Postgres string            `json:"postgres,omitempty"` // DSN
	Redis    string            `json:"redis,omitempty"`    // host:port
	OTLP     string            `json:"otlp"`               // base URL of an OTLP/HTTP receiver
	Peers    map[string]string `json:"peers,omitempty"`    // service to base URL
	Choices  Choices           `json:"choices"`
}

// Choices are the design decisions that a scenario can turn into a fault. The
// zero value of each means the sound choice.
type Choices struct {
	PoolSize    int    `json:"pool_size,omitempty" yaml:"pool_size"`       // connections of the pgx pool
	ItemLoading string `json:"item_loading,omitempty" yaml:"item_loading"` // join: one statement; each: one a row
	CacheKey    string `json:"cache_key,omitempty" yaml:"cache_key"`       // stable; request: unique to the request
	Writers     int    `json:"writers,omitempty" yaml:"writers"`           // sessions that store one delivery of events side by side
	// Authorization is how long the card network, which is no part of the shop,
	// takes to answer.
	Authorization time.Duration `json:"authorization,omitempty" yaml:"authorization"`
}

// Ways of loading the items of a list of orders, and of keying the cache.
const (
	ItemsJoined  = "join"
	ItemsEach    = "each"
	KeyStable    = "stable"
	KeyOfRequest = "request"
)

// Sound fills what is unset with the sound choice.
func (c Choices) Sound() Choices {
	if c.PoolSize == 0 {
		c.PoolSize = 24
	}
	if c.ItemLoading == "" {
		c.ItemLoading = ItemsJoined
	}
	if c.CacheKey == "" {
		c.CacheKey = KeyStable
	}
	if c.Writers == 0 {
		c.Writers = 1
	}
	if c.Authorization == 0 {
		c.Authorization = 80 * time.Millisecond
	}
	return c
}

// Validate rejects choices that the shop does not know.
func (c Choices) Validate() error {
	c = c.Sound()
	switch {
	case c.PoolSize < 1:
		return fmt.Errorf("pool_size %d is not positive", c.PoolSize)
	case c.Authorization < 0:
		return fmt.Errorf("authorization %s is negative", c.Authorization)
	case c.Writers < 1:
		return fmt.Errorf("writers %d is not positive", c.Writers)
	case c.ItemLoading != ItemsJoined && c.ItemLoading != ItemsEach:
		return fmt.Errorf("item_loading %q is neither %s nor %s", c.ItemLoading, ItemsJoined, ItemsEach)
	case c.CacheKey != KeyStable && c.CacheKey != KeyOfRequest:
		return fmt.Errorf("cache_key %q is neither %s nor %s", c.CacheKey, KeyStable, KeyOfRequest)
	}
	return nil
}

// Write stores p as JSON, readable by its owner alone: a DSN may hold a password.
func (p Process) Write(path string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("encode settings of %s: %w", p.Service, err)
	}
	return os.WriteFile(path, text, 0o600)
}

// Read loads what Write stored.
func Read(path string) (Process, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Process{}, fmt.Errorf("read settings: %w", err)
	}
	var p Process
	if err := json.Unmarshal(text, &p); err != nil {
		return Process{}, fmt.Errorf("decode settings %s: %w", path, err)
	}
	if err := p.Choices.Validate(); err != nil {
		return Process{}, fmt.Errorf("settings %s: %w", path, err)
	}
	p.Choices = p.Choices.Sound()
	return p, nil
}
