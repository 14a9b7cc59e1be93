// Sets keys for a while: worker KUBECONFIG NAMESPACE NAME none|exclusive GOROUTINES SECONDS ID.
package main

import (
	"context"
	"log"
	"os"

	"bench/measure"

	"mapstore"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(args []string) error {
	ctx, cache := context.Background(), mapstore.CacheNone
	if args[3] == "exclusive" {
		cache = mapstore.CacheExclusive
	}
	store, err := mapstore.Open(ctx, args[2], mapstore.WithKubeconfig(args[0]), mapstore.WithNamespace(args[1]),
		mapstore.WithCache(cache), mapstore.WithWriteBudget(mapstore.Unlimited))
	if err != nil {
		return err
	}
	defer store.Close()
	return measure.Run(func(key string, value []byte) error {
		_, err := store.Set(ctx, key, value)
		return err
	}, args[4:])
}
