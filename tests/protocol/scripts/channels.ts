/** LISTEN, NOTIFY and UNLISTEN, and what tells of a session's channels. */
import { script } from '../script.ts';

export const channelScripts = [
  script(
    'LISTEN and NOTIFY',
    String.raw`
LISTEN news

NOTIFY news

NOTIFY news, 'with a payload ü'

SELECT pg_notify('news', 'by function')

BEGIN

NOTIFY news, 'in a block'

NOTIFY news, 'in a block'

NOTIFY other, 'nobody listens'

SELECT 'not yet'

COMMIT

BEGIN; NOTIFY news, 'rolled back'; ROLLBACK

SELECT 1; NOTIFY news, 'between'; SELECT 2

LISTEN "Other News"

SELECT pg_listening_channels() ORDER BY 1

NOTIFY "Other News", 'x'

UNLISTEN news

NOTIFY news, 'not heard'

UNLISTEN *

SELECT count(*) FROM pg_listening_channels()

!22023
SELECT pg_notify('', 'x')

!22023
SELECT pg_notify('c', repeat('x', 8000))`,
    { leaves: 'nothing' },
  ),
  script(
    'the channels of a session, in a block',
    String.raw`
SELECT pg_listening_channels()

BEGIN; SELECT pg_listening_channels()

COMMIT

LISTEN news

BEGIN

SELECT pg_listening_channels()

LISTEN later; LISTEN "La""st'"

SELECT * FROM pg_listening_channels()

ROLLBACK

SELECT pg_listening_channels()

LISTEN "M'ö\n"; BEGIN; LISTEN a; SELECT pg_listening_channels(); COMMIT; SELECT pg_listening_channels(); BEGIN; UNLISTEN news

SELECT pg_listening_channels() AS c, upper(pg_listening_channels()), (SELECT pg_listening_channels() LIMIT 1), 'é' FROM pg_listening_channels() AS x ORDER BY x LIMIT 2

SELECT c, n FROM pg_listening_channels() WITH ORDINALITY AS x (c, n)

SELECT count(*) FROM pg_listening_channels() WHERE pg_listening_channels <> 'a'

WITH x AS (SELECT pg_catalog . pg_listening_channels ( )) SELECT pg_listening_channels FROM x

COPY (SELECT pg_listening_channels()) TO STDOUT

!0A000
SELECT count(pg_listening_channels()) FROM pg_listening_channels() GROUP BY nothing

ROLLBACK

CREATE TEMP TABLE heard AS SELECT pg_listening_channels()

SELECT * FROM heard

PREPARE heard AS SELECT pg_listening_channels()

UNLISTEN a; EXECUTE heard

BEGIN; UNLISTEN *; EXECUTE heard; COMMIT; EXECUTE heard`,
    { leaves: 'nothing' },
  ),
  script(
    'the channels of a session by extended query',
    String.raw`
LISTEN one

> Parse s: SELECT pg_listening_channels()
> Describe statement s
> Sync

> Bind "" s
> Describe portal
> Execute
> Sync

> Run: LISTEN two
> Bind "" s
> Execute
> Sync

> Run: BEGIN
> Run: LISTEN three
> Bind "" s
> Execute
> Run: COMMIT
> Bind "" s
> Execute
> Sync

> Run: BEGIN
> Bind p s
> Execute p limit 1
> Execute p limit 5
> Run (2): SELECT *, $1::int FROM pg_listening_channels() LIMIT $1::int
> Run: COMMIT
> Sync

> Run: UNLISTEN *
> Sync

> Bind "" s
> Execute
> Sync`,
    { leaves: 'nothing' },
  ),
  script(
    'channels that are told in no column of theirs',
    String.raw`
LISTEN one

SELECT pg_listening_channels()::varchar

SELECT * FROM pg_listening_channels() WITH ORDINALITY

SELECT * FROM ROWS FROM (pg_listening_channels(), generate_series(1, 2))

SELECT pg_listening_channels()::varchar AS named`,
    { leaves: 'nothing' },
  ),
  script(
    'channels behind a read',
    String.raw`
BEGIN READ ONLY

SELECT 1

LISTEN behind

ROLLBACK`,
    { leaves: 'nothing' },
  ),
];
