/** The blog's migrations: the first as `typeorm migration:generate` writes them, the later ones by hand. */
import { type MigrationInterface, type QueryRunner, Table, TableColumn, TableForeignKey, TableIndex } from 'typeorm';

class CreateBlog1700000000001 implements MigrationInterface {
  readonly name = 'CreateBlog1700000000001';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`CREATE TYPE "public"."user_role" AS ENUM('reader', 'author')`);
    await runner.query(
      `CREATE TABLE "users" ("id" SERIAL NOT NULL, "email" character varying(200) NOT NULL, "name" character varying(100) NOT NULL, "role" "public"."user_role" NOT NULL DEFAULT 'reader', "settings" jsonb NOT NULL DEFAULT '{}', "version" integer NOT NULL, "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), "updated_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), CONSTRAINT "UQ_users_email" UNIQUE ("email"), CONSTRAINT "PK_a3ffb1c0c8416b9fc6f907b7433" PRIMARY KEY ("id"))`,
    );
    await runner.query(
      `CREATE TABLE "posts" ("id" uuid NOT NULL DEFAULT uuid_generate_v4(), "title" character varying(200) NOT NULL, "body" text, "views" integer NOT NULL DEFAULT '0', "author_id" integer NOT NULL, "version" integer NOT NULL, "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), "updated_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), CONSTRAINT "PK_2829ac61eff60fcec60d7274b9e" PRIMARY KEY ("id"))`,
    );
    await runner.query(`CREATE INDEX "IDX_posts_author_created" ON "posts" ("author_id", "created_at") `);
    await runner.query(
      `CREATE TABLE "comments" ("id" BIGSERIAL NOT NULL, "body" text NOT NULL, "post_id" uuid NOT NULL, "author_id" integer, "created_at" TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(), "parent_id" bigint, CONSTRAINT "PK_8bf68bc960f2b69e818bdb90dcb" PRIMARY KEY ("id"))`,
    );
    await runner.query(`CREATE INDEX "IDX_comments_post" ON "comments" ("post_id") `);
    for (const [table, name, column, target, action] of [
      ['posts', 'FK_posts_author', 'author_id', 'users', 'CASCADE'],
      ['comments', 'FK_comments_post', 'post_id', 'posts', 'CASCADE'],
      ['comments', 'FK_comments_author', 'author_id', 'users', 'SET NULL'],
      ['comments', 'FK_comments_parent', 'parent_id', 'comments', 'CASCADE'],
    ]) {
      await runner.query(
        `ALTER TABLE "${table}" ADD CONSTRAINT "${name}" FOREIGN KEY ("${column}") REFERENCES "${target}"("id") ON DELETE ${action} ON UPDATE NO ACTION`,
      );
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    for (const name of ['FK_comments_parent', 'FK_comments_author', 'FK_comments_post']) {
      await runner.query(`ALTER TABLE "comments" DROP CONSTRAINT "${name}"`);
    }
    await runner.query(`ALTER TABLE "posts" DROP CONSTRAINT "FK_posts_author"`);
    await runner.query(`DROP INDEX "public"."IDX_comments_post"`);
    await runner.query(`DROP TABLE "comments"`);
    await runner.query(`DROP INDEX "public"."IDX_posts_author_created"`);
    await runner.query(`DROP TABLE "posts"`);
    await runner.query(`DROP TABLE "users"`);
    await runner.query(`DROP TYPE "public"."user_role"`);
  }
}

class SeedUsers1700000000002 implements MigrationInterface {
  readonly name = 'SeedUsers1700000000002';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `INSERT INTO "users" ("email", "name", "role", "version") SELECT 'seed' || n || '@example.org', 'Seed ' || n, CASE WHEN n % 2 = 0 THEN 'author' ELSE 'reader' END::"user_role", 1 FROM generate_series(1, 8) AS n`,
    );
    await runner.query(
      `INSERT INTO "posts" ("title", "body", "author_id", "version") SELECT 'First words of ' || "name", md5("email"), "id", 1 FROM "users" WHERE "role" = 'author' ORDER BY "id"`,
    );
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`DELETE FROM "users" WHERE "email" LIKE 'seed%@example.org'`);
  }
}

class AddTags1700000000003 implements MigrationInterface {
  readonly name = 'AddTags1700000000003';

  async up(runner: QueryRunner): Promise<void> {
    await runner.createTable(
      new Table({
        name: 'tags',
        columns: [
          { name: 'id', type: 'int', isPrimary: true, isGenerated: true, generationStrategy: 'increment' },
          { name: 'name', type: 'varchar', length: '50' },
          { name: 'uses', type: 'int', default: 0 },
        ],
        uniques: [{ name: 'UQ_tags_name', columnNames: ['name'] }],
      }),
    );
    await runner.createTable(
      new Table({
        name: 'post_tags',
        columns: [
          { name: 'post_id', type: 'uuid', isPrimary: true },
          { name: 'tag_id', type: 'int', isPrimary: true },
        ],
      }),
    );
    for (const [column, target] of [
      ['post', 'posts'],
      ['tag', 'tags'],
    ] as const) {
      await runner.createForeignKey(
        'post_tags',
        new TableForeignKey({
          name: `FK_post_tags_${column}`,
          columnNames: [`${column}_id`],
          referencedTableName: target,
          referencedColumnNames: ['id'],
          onDelete: 'CASCADE',
          onUpdate: 'CASCADE',
        }),
      );
      await runner.createIndex('post_tags', new TableIndex({ columnNames: [`${column}_id`] }));
    }
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.dropTable('post_tags', false, true, true);
    await runner.dropTable('tags');
  }
}

class SlugsAndCredits1700000000004 implements MigrationInterface {
  readonly name = 'SlugsAndCredits1700000000004';

  async up(runner: QueryRunner): Promise<void> {
    await runner.renameColumn('users', 'name', 'display_name');
    await runner.addColumns('users', [
      new TableColumn({ name: 'credits', type: 'numeric', precision: 12, scale: 2, default: 0 }),
    ]);
    await runner.addColumn('posts', new TableColumn({ name: 'deleted_at', type: 'timestamptz', isNullable: true }));
    await runner.addColumn(
      'posts',
      new TableColumn({ name: 'slug', type: 'varchar', length: '240', isNullable: true }),
    );
    // The values for the rows that are there, and only then NOT NULL and UNIQUE.
    await runner.query(
      `UPDATE "posts" SET "slug" = lower(regexp_replace("title", '[^A-Za-z0-9]+', '-', 'g')) || '-' || left("id"::text, 8)`,
    );
    await runner.query(
      `UPDATE "users" AS u SET "credits" = 10 * p.n FROM (SELECT "author_id", count(*) AS n FROM "posts" GROUP BY "author_id") AS p WHERE p."author_id" = u."id"`,
    );
    await runner.query(`ALTER TABLE "posts" ALTER COLUMN "slug" SET NOT NULL`);
    await runner.query(`ALTER TABLE "posts" ADD CONSTRAINT "UQ_posts_slug" UNIQUE ("slug")`);
    await this.#roles(runner, ['reader', 'author', 'editor']);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`UPDATE "users" SET "role" = 'author' WHERE "role" = 'editor'`);
    await this.#roles(runner, ['reader', 'author']);
    await runner.dropUniqueConstraint('posts', 'UQ_posts_slug');
    await runner.dropColumns('posts', ['slug', 'deleted_at']);
    await runner.dropColumn('users', 'credits');
    await runner.renameColumn('users', 'display_name', 'name');
  }

  /** How TypeORM changes an enum: another type, the column moved over, the old type dropped. */
  async #roles(runner: QueryRunner, values: readonly string[]): Promise<void> {
    const list = values.map((value) => `'${value}'`).join(', ');
    await runner.query(`ALTER TYPE "public"."user_role" RENAME TO "user_role_old"`);
    await runner.query(`CREATE TYPE "public"."user_role" AS ENUM(${list})`);
    await runner.query(`ALTER TABLE "users" ALTER COLUMN "role" DROP DEFAULT`);
    await runner.query(
      `ALTER TABLE "users" ALTER COLUMN "role" TYPE "public"."user_role" USING "role"::"text"::"public"."user_role"`,
    );
    await runner.query(`ALTER TABLE "users" ALTER COLUMN "role" SET DEFAULT 'reader'`);
    await runner.query(`DROP TYPE "public"."user_role_old"`);
  }
}

export const migrations = [
  CreateBlog1700000000001,
  SeedUsers1700000000002,
  AddTags1700000000003,
  SlugsAndCredits1700000000004,
];
