module mapstore

go 1.25
