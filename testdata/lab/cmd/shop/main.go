// Command shop runs one process of the lab's shop: gateway, catalog, orders or
// payments, as its settings file says.
package main

import (
	"context"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/culprit-rca/culprit/testdata/lab/shop"
	"github.com/culprit-rca/culprit/testdata/lab/shop/settings"
)

func main() {
	path := flag.String("settings", "", "settings file, JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *path); err != nil {
		slog.Error("shop", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string) error {
	process, err := settings.Read(path)
	if err != nil {
		return err
	}
	return shop.Run(ctx, process)
}
