package main

import (
	"context"
	"fmt"

	"github.com/culprit-rca/culprit/testdata/lab/means"
	"github.com/culprit-rca/culprit/testdata/lab/servers"
)

// doctor says, one line each, what is there and what is missing. It fails if
// something is missing that the lab cannot do without.
func (a *app) doctor(ctx context.Context) error {
	cache, err := means.CacheDir()
	if err != nil {
		return err
	}
	programs := a.programs(ctx, cache)
	var notGot error
	if a.fix {
		installer := means.Installer{Cache: cache, Source: a.source, Log: a.err}
		notGot = installer.Install(ctx, programs, a.progress)
		programs = a.programs(ctx, cache)
	}
	for _, p := range programs {
		fmt.Fprintln(a.out, doctorLine(p))
	}
	if err := servers.CgroupsWritable(); err != nil {
		fmt.Fprintf(a.out, "missing  %-18s cpu-throttling will not run, no container metrics: %v\n", "writable cgroup", err)
	} else {
		fmt.Fprintf(a.out, "ok       %-18s\n", "writable cgroup")
	}
	if missing := means.Missing(programs); len(missing) > 0 && notGot == nil {
		return fmt.Errorf("%d programs are missing", len(missing))
	}
	return notGot
}

func doctorLine(p means.Program) string {
	if p.Path != "" {
		return fmt.Sprintf("ok       %-18s %-12s %s", p.Name, p.Version, p.Path)
	}
	how := "lab doctor --fix, which does " + p.Build
	if p.Debian != "" {
		how = "apt-get install " + p.Debian + ", or lab doctor --fix as root"
	}
	if p.Optional != "" {
		how += " (" + p.Optional + ")"
	}
	return fmt.Sprintf("missing  %-18s %s", p.Name, how)
}
