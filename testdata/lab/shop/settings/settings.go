// Package settings is what a process of the shop is told when it starts: its
// addresses, and the choices that a scenario may make badly. It is shared by
// the shop, which obeys it, and the lab, which writes it; it never decides
// anything itself.
package settings

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/culprit-rca/culprit/testdata/lab/shop/names"
)

// PaymentsQueue is the list of Redis that holds payments to be made.
const PaymentsQueue = "payments"

// Process is the configuration of one process of the shop.
type Process struct {
	Service  string            `json:"service"`            // gateway, catalog, orders, payments, partner or recommender
	Listen   string            `json:"listen"`             // host:port
	Postgres string            `json:"postgres,omitempty"` // DSN
	Redis    string            `json:"redis,omitempty"`    // host:port
	OTLP     string            `json:"otlp"`               // base URL of an OTLP/HTTP receiver
	Peers    map[string]string `json:"peers,omitempty"`    // process to base URL: SERVICE, SERVICE-2, ...
	Choices  Choices           `json:"choices"`
	Sight    Sight             `json:"sight"`
}

// Sight is what those who watch the shop may see of it, and under which names.
// The zero value hides nothing.
type Sight struct {
	Sampling       float64     `json:"sampling,omitempty"`        // share of the requests that are traced; 0: all
	OldConventions bool        `json:"old_conventions,omitempty"` // spans and latency as libraries named them before the conventions were stable
	MetricPrefix   string      `json:"metric_prefix,omitempty"`   // of the shop's own metrics, ends in _
	Names          names.Names `json:"names,omitempty"`           // other ones for services, tables, routes and the database
}

// Rename gives the name under which something of the shop is known.
func (p Process) Rename(text string) string { return p.Sight.Names.Rename(text) }

// Replicas are the base URLs of all processes of a service.
func (p Process) Replicas(service string) []string {
	var all []string
	for n := 1; ; n++ {
		base, found := p.Peers[ReplicaName(service, n)]
		if !found {
			return all
		}
		all = append(all, base)
	}
}

// ReplicaName is that of the n-th process of a service, from 1.
func ReplicaName(service string, n int) string {
	if n == 1 {
		return service
	}
	return fmt.Sprintf("%s-%d", service, n)
}

// Choices are the design decisions that a scenario can turn into a fault. The
// zero value of each means the sound choice.
type Choices struct {
	Authorization time.Duration `json:"authorization,omitempty" yaml:"authorization"` // how long the card network, which is no part of the shop, takes to answer
	Authorizing   string        `json:"authorizing,omitempty" yaml:"authorizing"`     // inside: a card takes its time; partner: the partner is asked
	BestLife      time.Duration `json:"best_life,omitempty" yaml:"best_life"`         // after which the list of the best expires; 0: as everything else in the cache
	CacheKey      string        `json:"cache_key,omitempty" yaml:"cache_key"`         // stable; request: unique to the request
	ConnLife      time.Duration `json:"conn_life,omitempty" yaml:"conn_life"`         // after which a connection is replaced; 0: the library's hour
	ConnPatience  time.Duration `json:"conn_patience,omitempty" yaml:"conn_patience"` // for a connection that the server refuses; 0: none, a refusal is an error
	Consumers     int           `json:"consumers,omitempty" yaml:"consumers"`         // that make queued payments side by side
	EventCounts   bool          `json:"event_counts,omitempty" yaml:"event_counts"`   // deliveries add up their subjects in event_counts, too
	Figures       string        `json:"figures,omitempty" yaml:"figures"`             // together: two statements a summary; each: one a figure
	ItemLoading   string        `json:"item_loading,omitempty" yaml:"item_loading"`   // join: one statement; each: one a row
	KeepReviews   bool          `json:"keep_reviews,omitempty" yaml:"keep_reviews"`   // all reviews in memory, too
	KeepViews     bool          `json:"keep_views,omitempty" yaml:"keep_views"`       // every view of a product, for as long as the process lives
	Partner       Habits        `json:"partner,omitzero" yaml:"habits"`               // of the partner alone
	Patience      time.Duration `json:"patience,omitempty" yaml:"patience"`           // for a payment; then the order is accepted unpaid
	PayAttempts   int           `json:"pay_attempts,omitempty" yaml:"pay_attempts"`
	Paying        string        `json:"paying,omitempty" yaml:"paying"`             // call: orders calls payments; queue: it puts a message into a queue and waits for the answer
	PayRate       float64       `json:"pay_rate,omitempty" yaml:"pay_rate"`         // payments a second that are let in, the others refused; 0: all
	PoolSize      int           `json:"pool_size,omitempty" yaml:"pool_size"`       // connections of the pgx pool
	Quoting       string        `json:"quoting,omitempty" yaml:"quoting"`           // at-once: carriers are asked side by side; in-turn: one after another
	Ranking       string        `json:"ranking,omitempty" yaml:"ranking"`           // pass: the nearest by one pass over all; passes: by one pass each; sort: by sorting all
	SalesTotals   int           `json:"sales_totals,omitempty" yaml:"sales_totals"` // rows of sales_totals that orders add themselves to, first of all; 0: no totals
	Threads       int           `json:"threads,omitempty" yaml:"threads"`           // of a batch
	Writers       int           `json:"writers,omitempty" yaml:"writers"`           // sessions that store one delivery of events side by side
}

// Habits are what a partner does besides answering. The zero value is a
// reliable one.
type Habits struct {
	Hangs      float64       `json:"hangs,omitempty" yaml:"hangs"`         // share of the calls that take HangTime instead of their usual time, 0..1
	HangTime   time.Duration `json:"hang_time,omitempty" yaml:"hang_time"` //
	Refuses    float64       `json:"refuses,omitempty" yaml:"refuses"`     // share of the calls answered with 503, 0..1
	StallEvery time.Duration `json:"stall_every,omitempty" yaml:"stall_every"`
	StallTime  time.Duration `json:"stall_time,omitempty" yaml:"stall_time"` // at the begin of every StallEvery, in which nobody is answered
}

// Ways of loading the items of a list of orders, of keying the cache, and of
// asking others.
const (
	ItemsJoined  = "join"
	ItemsEach    = "each"
	KeyStable    = "stable"
	KeyOfRequest = "request"

	AuthorizedInside    = "inside"
	AuthorizedByPartner = "partner"
	FiguresTogether     = "together"
	FiguresEach         = "each"
	QuotesAtOnce        = "at-once"
	QuotesInTurn        = "in-turn"
	PayByCall           = "call"
	PayByQueue          = "queue"
	RankByPass          = "pass"
	RankByPasses        = "passes"
	RankBySort          = "sort"
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
	return c.soundCalls()
}

func (c Choices) soundCalls() Choices {
	c.Authorization = cmp.Or(c.Authorization, 80*time.Millisecond)
	c.Authorizing = cmp.Or(c.Authorizing, AuthorizedInside)
	c.Figures = cmp.Or(c.Figures, FiguresTogether)
	c.PayAttempts = cmp.Or(c.PayAttempts, 1)
	c.Quoting = cmp.Or(c.Quoting, QuotesAtOnce)
	c.Consumers = cmp.Or(c.Consumers, 8)
	c.Paying = cmp.Or(c.Paying, PayByCall)
	c.Ranking = cmp.Or(c.Ranking, RankByPass)
	c.Threads = cmp.Or(c.Threads, 1)
	return c
}

// Validate rejects choices that the shop does not know.
func (c Choices) Validate() error {
	c = c.Sound()
	switch {
	case c.PoolSize < 1:
		return fmt.Errorf("pool_size %d is not positive", c.PoolSize)
	case c.ConnLife < 0:
		return fmt.Errorf("conn_life %s is negative", c.ConnLife)
	case c.ConnPatience < 0:
		return fmt.Errorf("conn_patience %s is negative", c.ConnPatience)
	case c.SalesTotals < 0:
		return fmt.Errorf("sales_totals %d is negative", c.SalesTotals)
	case c.Authorization < 0:
		return fmt.Errorf("authorization %s is negative", c.Authorization)
	case c.Writers < 1:
		return fmt.Errorf("writers %d is not positive", c.Writers)
	case c.ItemLoading != ItemsJoined && c.ItemLoading != ItemsEach:
		return fmt.Errorf("item_loading %q is neither %s nor %s", c.ItemLoading, ItemsJoined, ItemsEach)
	case c.CacheKey != KeyStable && c.CacheKey != KeyOfRequest:
		return fmt.Errorf("cache_key %q is neither %s nor %s", c.CacheKey, KeyStable, KeyOfRequest)
	}
	return c.validateCalls()
}

func (c Choices) validateCalls() error {
	switch {
	case c.Authorizing != AuthorizedInside && c.Authorizing != AuthorizedByPartner:
		return fmt.Errorf("authorizing %q is neither %s nor %s", c.Authorizing, AuthorizedInside, AuthorizedByPartner)
	case c.Figures != FiguresTogether && c.Figures != FiguresEach:
		return fmt.Errorf("figures %q is neither %s nor %s", c.Figures, FiguresTogether, FiguresEach)
	case c.Patience < 0:
		return fmt.Errorf("patience %s is negative", c.Patience)
	case c.PayAttempts < 1:
		return fmt.Errorf("pay_attempts %d is not positive", c.PayAttempts)
	case c.Quoting != QuotesAtOnce && c.Quoting != QuotesInTurn:
		return fmt.Errorf("quoting %q is neither %s nor %s", c.Quoting, QuotesAtOnce, QuotesInTurn)
	case c.Paying != PayByCall && c.Paying != PayByQueue:
		return fmt.Errorf("paying %q is neither %s nor %s", c.Paying, PayByCall, PayByQueue)
	}
	return errors.Join(c.validateWork(), c.Partner.validate())
}

func (c Choices) validateWork() error {
	switch {
	case c.BestLife < 0:
		return fmt.Errorf("best_life %s is negative", c.BestLife)
	case c.Consumers < 1:
		return fmt.Errorf("consumers %d is not positive", c.Consumers)
	case c.PayRate < 0:
		return fmt.Errorf("pay_rate %g is negative", c.PayRate)
	case c.Threads < 1:
		return fmt.Errorf("threads %d is not positive", c.Threads)
	case c.Ranking != RankByPass && c.Ranking != RankByPasses && c.Ranking != RankBySort:
		return fmt.Errorf("ranking %q is none of %s, %s and %s", c.Ranking, RankByPass, RankByPasses, RankBySort)
	}
	return nil
}

func (h Habits) validate() error {
	switch {
	case h.Hangs < 0 || h.Hangs > 1 || h.Hangs > 0 && h.HangTime <= 0:
		return fmt.Errorf("hangs %g for %s is no share of the calls for a time", h.Hangs, h.HangTime)
	case h.Refuses < 0 || h.Refuses > 1:
		return fmt.Errorf("refuses %g is no share of the calls", h.Refuses)
	case h.StallTime < 0 || h.StallTime > h.StallEvery:
		return fmt.Errorf("stall_time %s is longer than stall_every %s", h.StallTime, h.StallEvery)
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
