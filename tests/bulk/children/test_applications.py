"""The graphs of well-known sample databases: Chinook, Sakila, Pagila; and of comments that belong to several tables."""
# ruff: noqa: E501  DDL is read more easily in one line

from tests.bulk.children.reading import edges, order, read_graph, the_edge
from tests.bulk.children.test_graph import make
from tests.services.database import Database

CHINOOK = """
CREATE TABLE artist (artist_id integer PRIMARY KEY, name varchar(120));
CREATE TABLE album (album_id integer PRIMARY KEY, title varchar(160) NOT NULL, artist_id integer NOT NULL, FOREIGN KEY (artist_id) REFERENCES artist (artist_id) ON DELETE NO ACTION ON UPDATE NO ACTION);
CREATE TABLE employee (employee_id integer PRIMARY KEY, last_name varchar(20) NOT NULL, reports_to integer, FOREIGN KEY (reports_to) REFERENCES employee (employee_id) ON DELETE NO ACTION ON UPDATE NO ACTION);
CREATE TABLE customer (customer_id integer PRIMARY KEY, email varchar(60) NOT NULL, support_rep_id integer, FOREIGN KEY (support_rep_id) REFERENCES employee (employee_id) ON DELETE NO ACTION ON UPDATE NO ACTION);
CREATE TABLE genre (genre_id integer PRIMARY KEY, name varchar(120));
CREATE TABLE media_type (media_type_id integer PRIMARY KEY, name varchar(120));
CREATE TABLE track (track_id integer PRIMARY KEY, name varchar(200) NOT NULL, album_id integer, media_type_id integer NOT NULL, genre_id integer, FOREIGN KEY (album_id) REFERENCES album (album_id), FOREIGN KEY (media_type_id) REFERENCES media_type (media_type_id), FOREIGN KEY (genre_id) REFERENCES genre (genre_id));
CREATE TABLE invoice (invoice_id integer PRIMARY KEY, customer_id integer NOT NULL, total numeric(10,2) NOT NULL, FOREIGN KEY (customer_id) REFERENCES customer (customer_id));
CREATE TABLE invoice_line (invoice_line_id integer PRIMARY KEY, invoice_id integer NOT NULL, track_id integer NOT NULL, FOREIGN KEY (invoice_id) REFERENCES invoice (invoice_id), FOREIGN KEY (track_id) REFERENCES track (track_id));
CREATE TABLE playlist (playlist_id integer PRIMARY KEY, name varchar(120));
CREATE TABLE playlist_track (playlist_id integer NOT NULL, track_id integer NOT NULL, PRIMARY KEY (playlist_id, track_id), FOREIGN KEY (playlist_id) REFERENCES playlist (playlist_id), FOREIGN KEY (track_id) REFERENCES track (track_id))
"""
SAKILA = """
CREATE TABLE country (country_id integer PRIMARY KEY);
CREATE TABLE city (city_id integer PRIMARY KEY, country_id integer NOT NULL, FOREIGN KEY (country_id) REFERENCES country (country_id) ON DELETE RESTRICT ON UPDATE CASCADE);
CREATE TABLE address (address_id integer PRIMARY KEY, city_id integer NOT NULL, FOREIGN KEY (city_id) REFERENCES city (city_id) ON DELETE RESTRICT ON UPDATE CASCADE);
CREATE TABLE language (language_id integer PRIMARY KEY);
CREATE TABLE film (film_id integer PRIMARY KEY, language_id integer NOT NULL, original_language_id integer, FOREIGN KEY (language_id) REFERENCES language (language_id) ON DELETE RESTRICT, FOREIGN KEY (original_language_id) REFERENCES language (language_id) ON DELETE RESTRICT);
CREATE TABLE actor (actor_id integer PRIMARY KEY);
CREATE TABLE film_actor (actor_id integer NOT NULL, film_id integer NOT NULL, PRIMARY KEY (actor_id, film_id), FOREIGN KEY (actor_id) REFERENCES actor (actor_id) ON DELETE RESTRICT, FOREIGN KEY (film_id) REFERENCES film (film_id) ON DELETE RESTRICT);
CREATE TABLE staff (staff_id integer PRIMARY KEY, address_id integer NOT NULL, store_id integer NOT NULL, FOREIGN KEY (address_id) REFERENCES address (address_id) ON DELETE RESTRICT);
CREATE TABLE store (store_id integer PRIMARY KEY, manager_staff_id integer NOT NULL, address_id integer NOT NULL, FOREIGN KEY (manager_staff_id) REFERENCES staff (staff_id) ON DELETE RESTRICT, FOREIGN KEY (address_id) REFERENCES address (address_id) ON DELETE RESTRICT);
CREATE TABLE customer (customer_id integer PRIMARY KEY, store_id integer NOT NULL, address_id integer NOT NULL, FOREIGN KEY (store_id) REFERENCES store (store_id) ON DELETE RESTRICT, FOREIGN KEY (address_id) REFERENCES address (address_id) ON DELETE RESTRICT);
CREATE TABLE inventory (inventory_id integer PRIMARY KEY, film_id integer NOT NULL, store_id integer NOT NULL, FOREIGN KEY (store_id) REFERENCES store (store_id) ON DELETE RESTRICT, FOREIGN KEY (film_id) REFERENCES film (film_id) ON DELETE RESTRICT);
CREATE TABLE rental (rental_id integer PRIMARY KEY, inventory_id integer NOT NULL, customer_id integer NOT NULL, staff_id integer NOT NULL, FOREIGN KEY (staff_id) REFERENCES staff (staff_id) ON DELETE RESTRICT, FOREIGN KEY (inventory_id) REFERENCES inventory (inventory_id) ON DELETE RESTRICT, FOREIGN KEY (customer_id) REFERENCES customer (customer_id) ON DELETE RESTRICT);
CREATE TABLE payment (payment_id integer PRIMARY KEY, customer_id integer NOT NULL, staff_id integer NOT NULL, rental_id integer, FOREIGN KEY (rental_id) REFERENCES rental (rental_id) ON DELETE SET NULL, FOREIGN KEY (customer_id) REFERENCES customer (customer_id) ON DELETE RESTRICT, FOREIGN KEY (staff_id) REFERENCES staff (staff_id) ON DELETE RESTRICT)
"""


def test_chinook(database: Database) -> None:
    make(database, CHINOOK)
    artist = read_graph(database, "artist")
    assert set(artist.acting("delete")) == set(artist.edges)
    assert sorted(order(artist)[:2]) == ["invoice_line", "playlist_track"]
    assert order(artist)[2:] == ["track", "album", "artist"]
    employee = read_graph(database, "employee", edge=["customer.support_rep_id = null"])
    assert edges(employee) == {
        "customer.support_rep_id -> employee.employee_id": "null",
        "employee.reports_to -> employee.employee_id": "delete",
    }
    assert [edge.source for edge in employee.component(employee.root).own] == ["employee.reports_to"]


def test_sakila(database: Database) -> None:
    """A payment is reached through its rental, which would keep it, and from its customer, which takes it along."""
    make(database, SAKILA)
    customer = read_graph(database, "customer")
    assert edges(customer) == {
        "payment.customer_id -> customer.customer_id": "delete",
        "rental.customer_id -> customer.customer_id": "delete",
        "payment.rental_id -> rental.rental_id": "null",
    }
    assert set(order(customer)) == {"payment", "rental", "customer"}
    language = read_graph(database, "language")
    assert [edge.columns for edge in language.to(language.root)] == [("language_id",), ("original_language_id",)]
    assert {table.name for table in language.touched} == {
        "film", "film_actor", "inventory", "rental", "payment", "language",
    }  # fmt: skip


def test_the_circle_of_sakila(database: Database) -> None:
    """A store has a manager, and a manager a store; neither may be NULL."""
    make(database, SAKILA)
    if database.backend == "sqlite":
        database.execute("DROP TABLE staff")
        make(
            database,
            SAKILA.split(";")[7].replace(
                "ON DELETE RESTRICT)",
                "ON DELETE RESTRICT, FOREIGN KEY (store_id) REFERENCES store (store_id) ON DELETE RESTRICT)",
            ),
        )
    else:
        database.execute("ALTER TABLE staff ADD FOREIGN KEY (store_id) REFERENCES store (store_id) ON DELETE RESTRICT")
    graph = read_graph(database, "country")
    (circle,) = (component for component in graph.components if component.circular)
    assert {edge.source for edge in circle.unbreakable} == {"staff.store_id", "store.manager_staff_id"}
    stopped = read_graph(database, "customer")
    assert not any(component.unbreakable for component in stopped.components)


def test_the_partitions_of_pagila(postgresql: Database) -> None:
    """Each partition of payment has foreign keys of its own, the partitioned table has none."""
    postgresql.script("""
        CREATE TABLE customer (customer_id integer PRIMARY KEY);
        CREATE TABLE rental (rental_id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customer ON UPDATE CASCADE ON DELETE RESTRICT);
        CREATE TABLE payment (payment_id integer NOT NULL, customer_id integer NOT NULL, rental_id integer NOT NULL,
            payment_date timestamptz NOT NULL, PRIMARY KEY (payment_date, payment_id)) PARTITION BY RANGE (payment_date);
        CREATE TABLE payment_p2022_01 PARTITION OF payment FOR VALUES FROM ('2022-01-01') TO ('2022-02-01');
        CREATE TABLE payment_p2022_02 PARTITION OF payment FOR VALUES FROM ('2022-02-01') TO ('2022-03-01');
        ALTER TABLE payment_p2022_01 ADD FOREIGN KEY (customer_id) REFERENCES customer (customer_id);
        ALTER TABLE payment_p2022_01 ADD FOREIGN KEY (rental_id) REFERENCES rental (rental_id);
        ALTER TABLE payment_p2022_02 ADD FOREIGN KEY (customer_id) REFERENCES customer (customer_id);
        ALTER TABLE payment_p2022_02 ADD FOREIGN KEY (rental_id) REFERENCES rental (rental_id);
    """)
    graph = read_graph(postgresql, "customer")
    assert {table.name for table in graph.tables[:2]} == {"payment_p2022_01", "payment_p2022_02"}
    assert order(graph)[2:] == ["rental", "customer"]
    assert all(edge.action == "delete" for edge in graph.edges)
    assert the_edge(graph, "payment_p2022_01.rental_id").index is not None


def test_comments_of_several_tables(database: Database) -> None:
    """Rails keeps the class of the owner beside its id; each class is another edge on the same columns."""
    make(
        database,
        """CREATE TABLE blogs (id bigint PRIMARY KEY);
        CREATE TABLE posts (id bigint PRIMARY KEY, blog_id bigint NOT NULL, FOREIGN KEY (blog_id) REFERENCES blogs (id));
        CREATE TABLE comments (id bigint PRIMARY KEY, commentable_type varchar(50), commentable_id bigint);
        CREATE INDEX index_comments_on_commentable ON comments (commentable_type, commentable_id)""",
    )
    child = [
        "comments.commentable_id -> posts.id where commentable_type = 'Post'",
        "comments.commentable_id -> blogs.id where commentable_type = 'Blog'",
        "comments.commentable_id -> comments.id where commentable_type = 'Comment'",
    ]
    graph = read_graph(database, "blogs", child, ["comments.commentable_id = delete"])
    found = {edge.parent.name: (edge.action, edge.condition, edge.indexed) for edge in graph.edges if edge.declared}
    assert found == {
        "posts": ("delete", "commentable_type = 'Post'", True),
        "blogs": ("delete", "commentable_type = 'Blog'", True),
        "comments": ("delete", "commentable_type = 'Comment'", True),
    }
    assert order(graph) == ["comments", "posts", "blogs"]
    graph = read_graph(
        database, "blogs", child,
        ["comments.commentable_id -> blogs.id = delete", "comments.commentable_id -> comments.id = null", "comments.commentable_id -> posts.id = refuse"],
    )  # fmt: skip
    assert {edge.parent.name: edge.action for edge in graph.edges if edge.declared} == {
        "posts": "refuse", "blogs": "delete", "comments": "null",
    }  # fmt: skip
