module mapstore/tests/kubeconfigs

go 1.26
