package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/culprit-rca/culprit/cmd/culprit/audits"
	"github.com/culprit-rca/culprit/collectors/evidence"
	"github.com/culprit-rca/culprit/report/archive"
	"github.com/culprit-rca/culprit/report/notify"
)

// serveFlags are how the service meets the world; what it does is in --config.
type serveFlags struct {
	config    string
	listen    string
	webConfig string
	external  string
	open      bool
}

const defaultListen = "127.0.0.1:9853"

func (a *app) serveCommand() *cobra.Command {
	var flags serveFlags
	c := &cobra.Command{
		Use: "serve --config culprit.yaml", Short: "Audit targets by schedule and by alert, and show the reports", Args: cobra.NoArgs,
		Long: `Audit the targets of the configuration by their schedules and when Alertmanager
posts to /api/v1/alertmanager, keep the reports, and show them with the trend of
every cause. One signal to stop lets running audits finish; the second kills.

It listens on the loopback alone until --web-config names users or demands
client certificates.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.serve(c.Context(), &flags) },
	}
	c.Flags().StringVar(&flags.config, "config", "", "YAML with the targets")
	c.Flags().StringVar(&flags.listen, "listen", defaultListen, "ADDR to listen on")
	c.Flags().StringVar(&flags.webConfig, "web-config", "", "file with TLS and users, in the format of Prometheus' exporter toolkit")
	c.Flags().StringVar(&flags.external, "external-url", "", "address under which people reach the pages, for links and behind a proxy")
	c.Flags().BoolVar(&flags.open, "listen-without-authentication", false, "listen beyond the loopback though everybody may read the reports and start audits")
	c.AddCommand(a.migrateCommand())
	return c
}

// serve works until a signal.
func (a *app) serve(ctx context.Context, flags *serveFlags) error {
	settings, err := readService(flags.config)
	if err != nil {
		return usage(err)
	}
	targets, err := settings.auditTargets(a.version)
	if err != nil {
		return usage(err)
	}
	if err := flags.check(); err != nil {
		return usage(err)
	}
	told, err := notify.New(settings.Notify, a.now)
	if err != nil {
		return usage(settings.lines.at(settings.path, err))
	}
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	watch, stop := a.watch()
	defer stop()
	ctx, cancel := watch.cancelling(ctx)
	defer cancel()
	store, err := settings.openHistory(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()
	s := audits.New(audits.Config{
		Sinks: told.Sinks(),
		Store: store, Targets: targets, Log: log, Address: flags.address, Keep: settings.keep(),
		Workers: settings.Audits.AtOnce, MaxTime: time.Duration(settings.Audits.Longest), Grace: time.Duration(settings.Audits.Grace), Beat: time.Duration(settings.Audits.Beat),
		Admit:    archive.Admission{Queue: settings.Queue.Size, Cooldown: time.Duration(settings.Queue.Cooldown)},
		MaxAlert: time.Duration(settings.Queue.Longest),
	})
	site, err := a.listenFor(s, store, targets, flags, log)
	if err != nil {
		return err
	}
	failed := site.serve(cancel)
	s.Run(ctx)
	site.stop()
	return cmp.Or(failed(), nil)
}

// check refuses what nobody should do by accident.
func (f *serveFlags) check() error {
	if f.external != "" {
		u, err := url.Parse(f.external)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return errors.New("--external-url is not an http or https address without a user")
		}
	}
	secured, err := authenticates(f.webConfig)
	if err != nil {
		return err
	}
	loopback, err := onLoopback(f.listen)
	if err != nil {
		return err
	}
	if !loopback && !secured && !f.open {
		return fmt.Errorf("--listen %s is beyond the loopback and nobody is asked who they are: name users in --web-config, or say --listen-without-authentication", f.listen)
	}
	return nil
}

// address of a run's report for people.
func (f *serveFlags) address(r archive.Run) string {
	if f.external == "" {
		return ""
	}
	return strings.TrimRight(f.external, "/") + "/runs/" + r.ID
}

// openHistory opens the store that the configuration names; by default a
// directory, in the state directory where systemd gives one.
func (s *service) openHistory(ctx context.Context, log *slog.Logger) (archive.Store, error) {
	dsn, err := s.History.Postgres.find("history")
	if err != nil {
		return nil, usage(s.lines.at(s.path, err))
	}
	if dsn != "" {
		log.Info("history in PostgreSQL")
		return archive.OpenPostgres(ctx, dsn)
	}
	dir := cmp.Or(s.History.Directory, filepath.Join(os.Getenv("STATE_DIRECTORY"), "culprit-history"))
	log.Info("history in a directory", "directory", dir)
	return archive.OpenDirectory(dir, log)
}

func (a *app) migrateCommand() *cobra.Command {
	var config, from string
	c := &cobra.Command{
		Use: "migrate --config culprit.yaml --from DIRECTORY", Short: "Bring a history from a directory into PostgreSQL", Args: cobra.NoArgs,
		Long: "Bring the history of a directory into the PostgreSQL that the configuration\nnames. Stop the service first; the directory stays as it is. It may be repeated.",
		RunE: func(c *cobra.Command, _ []string) error { return a.migrate(c.Context(), config, from) },
	}
	c.Flags().StringVar(&config, "config", "", "YAML with the new history")
	c.Flags().StringVar(&from, "from", "", "directory of the old history")
	return c
}

func (a *app) migrate(ctx context.Context, path, from string) error {
	settings, err := readService(path)
	if err != nil {
		return usage(err)
	}
	if !settings.History.Postgres.named() {
		return usage(errors.New("where to? the configuration names no history.postgres"))
	}
	if info, err := os.Stat(filepath.Join(from, "version")); from == "" || err != nil || info.IsDir() {
		return usage(fmt.Errorf("--from %q is no directory with a history", from))
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	watch, stop := a.watch()
	defer stop()
	ctx, cancel := watch.cancelling(ctx)
	defer cancel()
	old, err := archive.OpenDirectory(from, log)
	if err != nil {
		return err
	}
	defer old.Close()
	store, err := settings.openHistory(ctx, log)
	if err != nil {
		return err
	}
	defer store.Close()
	n, err := archive.Copy(ctx, store, old)
	fmt.Fprintf(a.stdout, "%s copied, there already: %d, still to be done: %d\n", evidence.Counted(n.Runs, "run"), n.Known, n.Open)
	return err
}
