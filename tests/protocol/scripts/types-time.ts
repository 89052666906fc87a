import { script } from '../script.ts';

export const timeScripts = [
  script(
    'dates and timestamps',
    String.raw`
SELECT date '2024-02-29', date '0001-01-01 BC', date '5874897-12-31', date 'infinity', date '-infinity', date 'epoch'

SELECT timestamp '2024-03-10 02:30:00.123456', timestamp '4713-01-01 00:00:00 BC', timestamp '294276-12-31 23:59:59.999999', timestamp 'infinity'

SELECT timestamptz '2024-03-10 02:30:00+05:30', timestamptz '2024-07-01 12:00 Europe/Berlin', timestamptz '2000-01-01 00:00:00.5-08'

SELECT timestamp(0) '2024-01-01 00:00:00.5', timestamptz(3) '2024-01-01 00:00:00.123456+00', time(2) '01:02:03.456'

SELECT time '24:00', time '00:00', timetz '12:34:56.789+03', timetz '12:34-07:30', time 'allballs'

!22008
SELECT date '2023-02-29'

!22007
SELECT timestamp 'soon'

!22023
SELECT timestamptz '2024-01-01 00:00 Mars/Olympus'

!22008
SELECT date '5874898-01-01'

!22009
SELECT timestamptz '2024-01-01 00:00:00+99'

SELECT extract(year FROM date '2024-05-06'), extract(epoch FROM timestamptz '2024-01-01 00:00+00'), date_part('dow', date '2024-05-06'), date_trunc('month', timestamp '2024-05-06 07:08')

SELECT date '2024-01-31' + interval '1 month', timestamp '2024-03-01' - timestamp '2024-02-01', age(timestamp '2024-03-01', timestamp '2001-06-15'), date '2024-03-01' - date '2024-02-01'

SELECT to_char(timestamp '2024-05-06 17:08:09', 'YYYY-MM-DD HH24:MI:SS Day Month'), to_char(1234.5, '9G999D99'), to_date('06 May 2024', 'DD Mon YYYY'), to_timestamp(0)

SELECT (timestamp '2024-01-01', timestamp '2024-02-01') OVERLAPS (timestamp '2024-01-15', interval '1 year'), make_date(2024, 2, 29), make_timestamp(2024, 1, 2, 3, 4, 5.5), isfinite(date 'infinity')

SELECT g::date FROM generate_series(timestamp '2024-02-27', '2024-03-01', '1 day') AS g`,
    { leaves: 'nothing' },
  ),
  script(
    'time zones and date styles',
    String.raw`
SET TIME ZONE 'America/New_York'

SHOW timezone

SELECT timestamptz '2024-03-10 06:59:59+00', timestamptz '2024-03-10 07:00:00+00', timestamp '2024-03-10 02:30'::timestamptz

SELECT timestamptz '2024-06-01 12:00+00' AT TIME ZONE 'Asia/Kolkata', timestamp '2024-06-01 12:00' AT TIME ZONE 'Europe/London'

SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE

SELECT timestamptz '2024-06-01 12:00+00'

SET TIME ZONE '<+03>-3'

SELECT timestamptz '2024-06-01 12:00+00'

SET TIME ZONE LOCAL

SET DateStyle = 'SQL, DMY'

SELECT date '2024-05-06', timestamptz '2024-06-01 12:00+00', '06/05/2024'::date

SET DateStyle TO 'German'

SELECT date '2024-05-06', timestamp '2024-06-01 12:00'

SET DateStyle = 'Postgres, MDY'

SELECT date '2024-05-06', timestamp '2024-06-01 12:00'

SET IntervalStyle = 'iso_8601'

SELECT interval '1 year 2 months -3 days 04:05:06.7'

SET IntervalStyle = 'sql_standard'

SELECT interval '1 year 2 months -3 days 04:05:06.7'

SET IntervalStyle = 'postgres_verbose'

SELECT interval '1 year 2 months -3 days 04:05:06.7', interval '0'

RESET ALL

SHOW DateStyle

!22023
SET TIME ZONE 'Nowhere/Land'

!22023
SET DateStyle = 'Mayan'`,
    { leaves: 'nothing' },
  ),
  script(
    'intervals',
    String.raw`
SELECT interval '1 day', interval '-1 month +2 days -03:04:05.000006', interval '1' YEAR, interval '1-2' YEAR TO MONTH, interval '178000000 years'

SELECT interval '1 month' = interval '30 days', interval '1 day' * 1.5, interval '1 hour' / 3, justify_hours(interval '27 hours'), justify_interval(interval '1 mon -1 hour')

SELECT interval(3) '1.23456 seconds', make_interval(days => 10, secs => 1.5), extract(epoch FROM interval '1 month'), interval 'P1Y2M3DT4H5M6S'

!22007
SELECT interval 'a while'

!22008
SELECT timestamp '294276-12-31' + interval '1 year'`,
    { leaves: 'nothing' },
  ),
];
